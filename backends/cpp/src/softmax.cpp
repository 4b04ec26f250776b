// Softmax, its logarithm, and the cross entropy of classes: what exp(x) / sum(exp(x)) is made for.
//
// The textbook's formula reads a row of logits four times: for the largest one (which is subtracted so that exp cannot
// overflow), for exp, for the sum and for the division. Here a few rows at a time go through all of it while they are in
// the L1 cache, so that memory is read once and written once. What stays for the backward pass are two numbers a row,
// the largest logit and the sum: exp(x - top) / sum is computed again from the logits, as exp costs less time than reading
// what was written an iteration ago, and no memory. Cross entropy never has the probabilities in memory at all.
//
// Short rows (ten classes) would leave the vectors half empty. So several rows together are taken as one long one, and
// what belongs to a row (its largest logit) is written out once for each of its elements: every loop is a plain one.

#include <algorithm>
#include <cmath>

#include "losses.hpp"
#include "math.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

constexpr Index kFlat = 1024;     // elements that a thread has in hand: logits, results and shifts stay in the L1 cache
constexpr Index kGrain = 1 << 14;  // elements worth a block of their own
constexpr Index kStrip = 1 << 15;  // elements of a strip of columns, which stays in the L2 cache

// What is kept of a row.
template <class T>
struct Row {
    T top, sum;  // the largest element, and the sum of exp(x - top)
};

// to[...] = one number for each of the n elements of each row.
template <class T, class F>
void write_out(T* to, Index rows, Index n, F&& number) {
    for (Index r = 0; r < rows; ++r) std::fill_n(to + r * n, n, number(r));
}

template <class T>
T largest(const T* x, Index n) {  // a NaN may be passed over: exp brings it back
    return fold_row(x, n, x[0], [](auto a, auto b) { return b > a ? b : a; });
}

template <class T>
T total(const T* x, Index n) {
    return fold_row(x, n, T(0), [](auto a, auto b) { return a + b; });
}

template <class T>
T product(const T* x, const T* y, Index n) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
}

// exp(x) for x <= 0, in a quarter less time than exp_: 0 where it would be a denormal number, which is far below the last
// bit of a sum in which one term is 1. NaN stays.
template <class T>
[[gnu::always_inline]] inline T exp_down(T x) {
    using F = Ieee<T>;
    constexpr T least = is_float<T> ? T(-87) : T(-708);
    const auto p = power(x < least ? least : x);
    const T scale = from_bits<T>((p.bits - F::magic_bits + F::bias) << F::mantissa);
    return x < least ? T(0) : scale + scale * (p.r + p.tail);
}

// e = exp(x - shift)
template <class T>
void exponentials(const T* x, const T* shift, T* e, Index n) {
    for (Index i = 0; i < n; ++i) e[i] = exp_down(x[i] - shift[i]);
}

// Calls piece(begin, end, part) on pieces of at most kFlat of n elements.
template <class F>
void pieces(Index n, F&& piece) {
    for (Index begin = 0; begin < n; begin += kFlat) piece(begin, std::min(kFlat, n - begin));
}

// The rows are taken so many at a time; one that is longer than kFlat is taken alone, and in pieces.
inline Index at_once(Index n) { return std::max(kFlat / n, Index(1)); }

// Calls some(first, count) on a few rows at a time, on several threads if there is much to do.
template <class F>
void some_rows(Index rows, Index n, const F& some) {
    const Index few = at_once(n), grain = std::max(kGrain / (few * n), Index(1)) * few;
    const auto range = [&](Index begin, Index end) {
        for (Index first = begin; first < end; first += few) some(first, std::min(few, end - first));
    };
    const Unlocked unlocked(rows * n);
    if (rows * n < 2 * kGrain) return range(0, rows);
    parallel_ranges(rows, grain, range);
}

// What a row needs first: its largest element, written out in `shift` (for a long row, for one piece of it), and its sum.
// With `e` the exponentials are kept there.
template <class T>
void measure(const T* x, Index rows, Index n, Row<T>* stats, T* shift, T* e, bool keep) {
    for (Index r = 0; r < rows; ++r) stats[r] = {largest(x + r * n, n), 0};
    const Index step = std::min(n, kFlat);
    write_out(shift, rows, step, [&](Index r) { return stats[r].top; });
    double sum = 0;  // of a long row, whose pieces are added up in it
    pieces(rows * n, [&](Index at, Index size) {
        T* const to = keep ? e + at : e;
        exponentials(x + at, shift, to, size);
        if (n > kFlat) sum += total(to, size);
    });
    for (Index r = 0; r < rows; ++r) stats[r].sum = n > kFlat ? static_cast<T>(sum) : total(e + r * n, n);
}

template <class T, bool log>
void forward_rows(const T* x, T* out, Index rows, Index n, Row<T>* stats) {
    some_rows(rows, n, [=](Index first, Index count) {
        const T* const from = x + first * n;
        T* const to = out + first * n;
        T shift[kFlat], scale[kFlat], e[kFlat], of_row[kFlat];
        Row<T>* const row = stats + first;
        measure(from, count, n, row, shift, log ? e : to, !log);
        for (Index r = 0; r < count; ++r) of_row[r] = log ? log_(row[r].sum) : 1 / row[r].sum;
        write_out(scale, count, std::min(n, kFlat), [&](Index r) { return of_row[r]; });
        pieces(count * n, [&](Index at, Index size) {
            if (log)
                for (Index i = 0; i < size; ++i) to[at + i] = (from[at + i] - shift[i]) - scale[i];
            else
                for (Index i = 0; i < size; ++i) to[at + i] *= scale[i];
        });
    });
}

// With p = softmax(x): gx = p (g - sum(g p)), and for the logarithm gx = g - p sum(g).
template <class T, bool log>
void backward_rows(const T* x, const T* g, T* gx, Index rows, Index n, const Row<T>* stats) {
    some_rows(rows, n, [=](Index first, Index count) {
        const T *const from = x + first * n, *const above = g + first * n;
        T* const to = gx + first * n;
        T shift[kFlat], scale[kFlat], sums[kFlat];
        const Row<T>* const row = stats + first;
        const Index step = std::min(n, kFlat);
        write_out(shift, count, step, [&](Index r) { return row[r].top; });
        write_out(scale, count, step, [&](Index r) { return 1 / row[r].sum; });
        pieces(count * n, [&](Index at, Index size) { exponentials(from + at, shift, to + at, size); });
        write_out(sums, count, step, [&](Index r) {
            double sum = 0;
            pieces(n, [&](Index at, Index size) {
                const T* const piece = above + r * n + at;
                sum += log ? total(piece, size) : product(piece, to + r * n + at, size);
            });
            return static_cast<T>(log ? sum : sum / row[r].sum);
        });
        pieces(count * n, [&](Index at, Index size) {
            T* const p = to + at;
            const T* const q = above + at;
            if (log)
                for (Index i = 0; i < size; ++i) p[i] = q[i] - p[i] * scale[i] * sums[i];
            else
                for (Index i = 0; i < size; ++i) p[i] = (q[i] - sums[i]) * (p[i] * scale[i]);
        });
    });
}

// The same along a dimension that is not the last: (planes, n, inner), where neighbours belong to different rows. The
// loops run over strips of such neighbours.
template <class F>
void strips(Index planes, Index n, Index inner, const F& strip) {
    const Index width = std::min({std::max(kStrip / n, Index(16)), kFlat, inner}), each = (inner + width - 1) / width;
    const Unlocked unlocked(planes * n * inner);
    const auto block = [&](Index i) {
        const Index first = i % each * width;
        strip(i / each * n * inner + first, i / each * inner + first, std::min(width, inner - first));
    };
    if (planes * n * inner >= 2 * kGrain && width * n >= kGrain / 4) return parallel(planes * each, block);
    for (Index i = 0; i < planes * each; ++i) block(i);
}

template <class T, bool log>
void forward_columns(const T* x, T* out, Index planes, Index n, Index inner, Row<T>* stats) {
    strips(planes, n, inner, [=](Index at, Index row, Index width) {
        T top[kFlat], sum[kFlat];
        std::copy_n(x + at, width, top);
        std::fill_n(sum, width, T(0));
        for (Index r = 1; r < n; ++r) {
            const T* const from = x + at + r * inner;
            for (Index i = 0; i < width; ++i) top[i] = from[i] > top[i] ? from[i] : top[i];
        }
        for (Index r = 0; r < n; ++r) {
            const T* const from = x + at + r * inner;
            T* const to = out + at + r * inner;
#pragma GCC ivdep
            for (Index i = 0; i < width; ++i) sum[i] += to[i] = exp_down(from[i] - top[i]);
        }
        for (Index i = 0; i < width; ++i) stats[row + i] = {top[i], sum[i]};
        for (Index i = 0; i < width; ++i) sum[i] = log ? log_(sum[i]) : 1 / sum[i];
        for (Index r = 0; r < n; ++r) {
            const T* const from = x + at + r * inner;
            T* const to = out + at + r * inner;
#pragma GCC ivdep
            for (Index i = 0; i < width; ++i) to[i] = log ? (from[i] - top[i]) - sum[i] : to[i] * sum[i];
        }
    });
}

template <class T, bool log>
void backward_columns(const T* x, const T* g, T* gx, Index planes, Index n, Index inner, const Row<T>* stats) {
    strips(planes, n, inner, [=](Index at, Index row, Index width) {
        T top[kFlat], scale[kFlat], sum[kFlat];
        for (Index i = 0; i < width; ++i) top[i] = stats[row + i].top, scale[i] = 1 / stats[row + i].sum, sum[i] = 0;
        for (Index r = 0; r < n; ++r) {
            const T *const from = x + at + r * inner, *const above = g + at + r * inner;
            T* const to = gx + at + r * inner;
#pragma GCC ivdep
            for (Index i = 0; i < width; ++i) {
                to[i] = exp_down(from[i] - top[i]) * scale[i];
                sum[i] += log ? above[i] : above[i] * to[i];
            }
        }
        for (Index r = 0; r < n; ++r) {
            const T* const above = g + at + r * inner;
            T* const to = gx + at + r * inner;
#pragma GCC ivdep
            for (Index i = 0; i < width; ++i) to[i] = log ? above[i] - to[i] * sum[i] : (above[i] - sum[i]) * to[i];
        }
    });
}

// The sizes before, along and behind the dimension; a 0-d array is one row of one element.
struct Sizes {
    Index planes = 1, n = 1, inner = 1;
};

Sizes sizes_of(const char* function, const Array& x, const py::tuple& dims) {
    Sizes s;
    const Index dim = dims.empty() ? 0 : dims[0].cast<Index>();
    if (dims.size() > 1 || (x.dims ? dims.empty() || dim < 0 || dim >= x.dims : !dims.empty()))
        throw py::value_error(std::string(function) + ": expected dims with one dimension of shape " + shape_text(x.dims, x.shape) + ", got " + std::string(py::str(dims)));
    for (int d = 0; d < x.dims; ++d) (d < dim ? s.planes : d == dim ? s.n : s.inner) *= x.shape[d];
    return s;
}

template <bool log>
py::tuple softmax(py::handle argument, const py::tuple& dims) {
    const char* const function = log ? "log_softmax" : "softmax";
    const Array x = dense(function, "x", argument), out = empty_like(x);
    const Sizes s = sizes_of(function, x, dims);
    const Array stats = empty(x.type, {s.planes * s.inner, 2});
    by_float(function, "x", x, [&](auto t) {
        using T = decltype(t);
        if (x.size() == 0) return;
        if (s.inner == 1)
            forward_rows<T, log>(x.at<const T>(), out.at<T>(), s.planes, s.n, stats.at<Row<T>>());
        else
            forward_columns<T, log>(x.at<const T>(), out.at<T>(), s.planes, s.n, s.inner, stats.at<Row<T>>());
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, stats.owner, dims));
}

template <bool log>
py::list softmax_vjp(const py::tuple& saved, py::handle cotangent, const py::handle&) {
    const char* const function = log ? "log_softmax_vjp" : "softmax_vjp";
    const Array x = dense(function, "x", saved[0]), stats = dense(function, "stats", saved[1]);
    const Array g = dense(function, "g", cotangent), gx = empty_like(x);
    const Sizes s = sizes_of(function, x, saved[2]);
    if (g.type != x.type) bad_type(function, "g", name(x.type), g);
    if (g.size() != x.size()) bad_shape(function, "g", shape_text(x.dims, x.shape), g);
    by_float(function, "x", x, [&](auto t) {
        using T = decltype(t);
        if (x.size() == 0) return;
        const T *const from = x.at<const T>(), *const above = g.at<const T>();
        if (s.inner == 1)
            backward_rows<T, log>(from, above, gx.at<T>(), s.planes, s.n, stats.at<const Row<T>>());
        else
            backward_columns<T, log>(from, above, gx.at<T>(), s.planes, s.n, s.inner, stats.at<const Row<T>>());
    });
    py::list gradients;
    gradients.append(gx.owner);
    return gradients;
}

// Cross entropy: log(sum(exp(x))) - x[target], row by row, and its gradient g (softmax(x) - onehot(target)).

Array classes_of(const char* function, py::handle target, Index rows, Index classes) {
    Array t = dense(function, "target", target);
    if (t.type != Type::i64) t = dense(function, "target", target.attr("astype")("int64"));
    if (t.dims != 1 || t.size() != rows) bad_shape(function, "target", shape_text(1, &rows), t);
    const long* const at = t.at<const long>();
    bool fine = true;
    for (Index r = 0; r < rows; ++r) fine &= at[r] >= 0 && at[r] < classes;
    if (!fine) throw py::index_error(std::string(function) + ": expected targets of 0 to " + std::to_string(classes - 1));
    return t;
}

py::tuple cross_entropy(py::handle logits, py::handle target, const std::string& reduction) {
    const Array x = dense("cross_entropy", "logits", logits);
    if (x.dims != 2) bad_shape("cross_entropy", "logits", "(N, C)", x);
    const Index rows = x.shape[0], n = x.shape[1];
    const Reduction how = reduction_of("cross_entropy", reduction);
    const Array t = classes_of("cross_entropy", target, rows, n), stats = empty(x.type, {rows, 2});
    const Array out = how == Reduction::none ? empty(x.type, {rows}) : empty(x.type, {});
    by_float("cross_entropy", "logits", x, [&](auto type) {
        using T = decltype(type);
        const T* const from = x.at<const T>();
        const long* const at = t.at<const long>();
        Row<T>* const row = stats.at<Row<T>>();
        T* const losses = how == Reduction::none ? out.at<T>() : scratch<T>(Slot::reduce, rows);
        if (n) some_rows(rows, n, [=](Index first, Index count) {
            T shift[kFlat], e[kFlat];
            measure(from + first * n, count, n, row + first, shift, e, false);
            for (Index r = first; r < first + count; ++r) losses[r] = log_(row[r].sum);
            for (Index r = first; r < first + count; ++r) losses[r] -= from[r * n + at[r]] - row[r].top;
        });
        if (how == Reduction::none) return;
        double sum = 0;
        for (Index r = 0; r < rows; ++r) sum += losses[r];
        *out.at<T>() = static_cast<T>(how == Reduction::sum ? sum : sum / static_cast<double>(rows));
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, t.owner, stats.owner, static_cast<int>(how)));
}

py::list cross_entropy_vjp(const py::tuple& saved, py::handle cotangent, const py::handle&) {
    const Array x = dense("cross_entropy_vjp", "logits", saved[0]), t = dense("cross_entropy_vjp", "target", saved[1]);
    const Array stats = dense("cross_entropy_vjp", "stats", saved[2]), g = dense("cross_entropy_vjp", "g", cotangent);
    const Reduction how = static_cast<Reduction>(saved[3].cast<int>());
    const Index rows = x.shape[0], n = x.shape[1], wanted = how == Reduction::none ? rows : 1;
    if (g.type != x.type) bad_type("cross_entropy_vjp", "g", name(x.type), g);
    if (g.size() != wanted) bad_shape("cross_entropy_vjp", "g", how == Reduction::none ? shape_text(1, &rows) : "()", g);
    const Array gx = empty_like(x);
    by_float("cross_entropy_vjp", "logits", x, [&](auto type) {
        using T = decltype(type);
        const T *const from = x.at<const T>(), *const above = g.at<const T>();
        const long* const at = t.at<const long>();
        const Row<T>* const row = stats.at<const Row<T>>();
        const T share = how == Reduction::mean ? T(1) / static_cast<T>(rows) : T(1);
        T* const out = gx.at<T>();
        if (n) some_rows(rows, n, [=](Index first, Index count) {
            const auto weight = [=](Index r) { return above[how == Reduction::none ? first + r : 0] * share; };
            T shift[kFlat], scale[kFlat];
            T* const to = out + first * n;
            write_out(shift, count, std::min(n, kFlat), [&](Index r) { return row[first + r].top; });
            write_out(scale, count, std::min(n, kFlat), [&](Index r) { return weight(r) / row[first + r].sum; });
            pieces(count * n, [&](Index begin, Index size) {
                for (Index i = 0; i < size; ++i) to[begin + i] = exp_down(from[first * n + begin + i] - shift[i]) * scale[i];
            });
            for (Index r = 0; r < count; ++r) to[r * n + at[first + r]] -= weight(r);
        });
    });
    py::list gradients;
    gradients.append(gx.owner);
    gradients.append(py::none());
    return gradients;
}

}  // namespace

void bind_softmax(py::module_& module) {
    using py::arg;
    module.def("softmax", &softmax<false>, arg("x"), py::kw_only(), arg("dims"), "exp(x) / sum(exp(x)) along one dimension.");
    module.def("softmax_vjp", &softmax_vjp<false>, arg("saved"), arg("g"), arg("needs"), "p (g - sum(g p)).");
    module.def("log_softmax", &softmax<true>, arg("x"), py::kw_only(), arg("dims"), "log(softmax(x)) along one dimension.");
    module.def("log_softmax_vjp", &softmax_vjp<true>, arg("saved"), arg("g"), arg("needs"), "g - p sum(g).");
    module.def("cross_entropy", &cross_entropy, arg("logits"), arg("target"), py::kw_only(), arg("reduction"), "log(sum(exp(x))) - x[target].");
    module.def("cross_entropy_vjp", &cross_entropy_vjp, arg("saved"), arg("g"), arg("needs"), "g (softmax(x) - onehot(target)).");
}

}  // namespace tg
