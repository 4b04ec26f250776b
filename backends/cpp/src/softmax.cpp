// Softmax, its logarithm, and the cross entropy of classes: what exp(x) / sum(exp(x)) is made for.
//
// The textbook's formula reads a row of logits four times: for the largest one (which is subtracted so that exp cannot
// overflow), for exp, for the sum and for the division. Here a few rows at a time go through all of it while they are in
// the L1 cache, so that memory is read once and written once. What stays for the backward pass are two numbers a row,
// the largest logit and the sum: exp(x - top) / sum is computed again from the logits, as exp costs less time than reading
// what was written an iteration ago, and no memory. Cross entropy never has the probabilities in memory at all.
//
// Rows are taken together as a `Strip` of memory, so that vectors are full even where a row has ten classes or where its
// elements are apart. What belongs to a row (its largest logit) is written out once for each of its elements in a line of
// the strip: then all arithmetic is one plain loop along the lines, the same for every line and every kind of strip.

#include <numeric>

#include "losses.hpp"
#include "math.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

constexpr Index kLine = 1024;      // elements that a thread has in hand: logits, results and shifts stay in the L1 cache
constexpr Index kRun = 512;        // elements of a line of a long row: what belongs to the row is written out for so many
constexpr Index kGrain = 1 << 14;  // elements worth a block of their own
constexpr Index kStrip = 1 << 15;  // elements of a strip of columns, which stays in the L2 cache, if it is not too narrow
constexpr Index kNarrow = 256;     // columns

// What is kept of a row.
template <class T>
struct Row {
    T top, sum;  // the largest element, and the sum of exp(x - top)
};

// Some rows, from number `row` on: in memory, from `at` on, some lines, in which each row has `run` neighbouring elements.
//     short rows, one after the other:    aaabbbccc            one line, run = a row's length
//     a row longer than a line:           aaaa aaaa aa         one row, run = kRun
//     rows beside each other:             abc... abc... abc    run = 1 (softmax along a dimension that is not the last)
//     few rows beside each other:         abcabcabc abcabc     run = 1, width = 3 * rows
struct Strip {
    Index at, row, rows, run, width, lines, step, last;  // lines are `step` apart and have `width` elements, the last one `last`

    // Calls f(where it is, elements) for each line.
    template <class F>
    void each_line(const F& f) const {
        for (Index l = 0; l < lines; ++l) f(at + l * step, l + 1 < lines ? width : last);
    }
    // Each row's elements become its number: line(where it is, elements) tells where to find those of a line.
    template <class T, class L, class F>
    void gather(T* number, T neutral, const F& combine, const L& line) const {
        std::fill_n(number, run > 1 ? rows : width, neutral);
        each_line([&](Index at, Index n) {
            const T* const x = line(at, n);
            for (Index r = 0; run > 1 && r < rows; ++r)
                number[r] = combine(number[r], fold_row(x + r * run, rows == 1 ? n : run, neutral, combine));
            const Index beside = run > 1 ? 0 : n;
#pragma GCC ivdep
            for (Index i = 0; i < beside; ++i) number[i] = combine(number[i], x[i]);
        });
        for (Index k = rows; run == 1 && k < width; k += rows)
            for (Index r = 0; r < rows; ++r) number[r] = combine(number[r], number[k + r]);
    }
    // The numbers of the rows, each written out for the row's elements of a line.
    template <class T>
    const T* spread(T* number, T* line) const {
        if (width == rows) return number;
        for (Index k = 0; run == 1 && k < width; k += rows)
            for (Index r = 0; r < rows; ++r) line[k + r] = number[r];
        for (Index r = 0; run > 1 && r < rows; ++r) std::fill_n(line + r * run, run, number[r]);
        return line;
    }
};

// An array and the dimension along which its rows lie: it is seen as (planes, n, inner). A 0-d array is one row.
struct Rows {
    Index planes = 1, n = 1, inner = 1;

    Rows(const Array& x, Index dim) {
        for (int d = 0; d < x.dims; ++d) (d < dim ? planes : d == dim ? n : inner) *= x.shape[d];
    }
    // Calls body(strip) on strips that together cover the rows.
    template <class F>
    void each_strip(const F& body) const {
        if (planes * n * inner == 0) return;
        const bool beside = inner > 1;
        const Index all = beside ? inner : planes;  // rows among which a strip's may be chosen
        Index most = std::min(all, beside ? std::clamp(kStrip / n, kNarrow, kLine) : n > kRun ? 1 : kLine / n);
        if (most < all && most > 16) most -= most % 16;  // lines of whole vectors
        const Index strips = (all + most - 1) / most;
        share(beside ? planes * strips : strips, kGrain, [&](Index begin, Index end) {
            for (Index i = begin; i < end; ++i) {
                const Index plane = i / strips, first = i % strips * most, rows = std::min(most, all - first);
                const Index row = plane * all + first, at = beside ? plane * n * inner + first : row * n;
                const Index size = rows * n, run = beside ? 1 : std::min(n, kRun), fold = beside && 16 * inner <= kLine ? 16 : 1;
                const Index width = std::min(rows * run * fold, size), lines = (size + width - 1) / width;
                body(Strip{at, row, rows, run, width, lines, beside ? inner * fold : kRun, size - (lines - 1) * width});
            }
        }, most * n);
    }
};

// exp(x) for x <= 0, in a quarter less time than exp_: 0 where it would be a denormal number, which is far below the last
// bit of a sum in which one term is 1. NaN stays.
template <class T>
TG_INLINE T exp_down(T x) {
    constexpr T least = is_float<T> ? T(-87) : T(-708);
    return x < least ? T(0) : exp_moderate(x < least ? least : x);
}

constexpr auto larger = [](auto a, auto b) { return b > a ? b : a; };  // a NaN may be passed over: exp brings it back

// A strip at work: a number for each row, and lines.
template <class T>
struct Work {
    const Strip& s;
    alignas(kAlignment) T top[kLine], sum[kLine], shifts[kLine], scales[kLine], line[kLine];
    const T *shift, *scale;  // written out, if need be

    explicit Work(const Strip& strip) : s(strip) {}

    // The largest elements and the sums of exp(x - top), which goes to `e`, or nowhere if that is null.
    void measure(const T* x, T* e, Row<T>* stats) {
        s.gather(top, -infinity<T>, larger, [=](Index at, Index) { return x + at; });
        shift = s.spread(top, shifts);
        s.gather(sum, T(0), add, [=](Index at, Index n) {
            T* const to = e ? e + at : line;
#pragma GCC ivdep
            for (Index i = 0; i < n; ++i) to[i] = exp_down(x[at + i] - shift[i]);
            return to;
        });
        for (Index r = 0; r < s.rows; ++r) stats[s.row + r] = {top[r], sum[r]};
    }
    // What was measured, for the backward pass, with a weight for each row.
    template <class F>
    void recall(const Row<T>* stats, const F& weight) {
        for (Index r = 0; r < s.rows; ++r) top[r] = stats[s.row + r].top, sum[r] = weight(s.row + r) / stats[s.row + r].sum;
        shift = s.spread(top, shifts), scale = s.spread(sum, scales);
    }
    TG_INLINE T probability(T x, Index i) const { return exp_down(x - shift[i]) * scale[i]; }  // times the row's weight
};

template <class T, bool log>
void forward(const Strip& s, const T* x, T* out, Row<T>* stats) {
    Work<T> w(s);
    w.measure(x, log ? nullptr : out, stats);
    for (Index r = 0; r < s.rows; ++r) w.sum[r] = log ? log_(w.sum[r]) : 1 / w.sum[r];
    const T *const shift = w.shift, *const scale = s.spread(w.sum, w.scales);
    s.each_line([=](Index at, Index n) {
        const T* const from = x + at;
        T* const to = out + at;
#pragma GCC ivdep
        for (Index i = 0; i < n; ++i) to[i] = log ? (from[i] - shift[i]) - scale[i] : to[i] * scale[i];
    });
}

// With p = softmax(x): gx = p (g - sum(g p)), and for the logarithm gx = g - p sum(g).
template <class T, bool log>
void backward(const Strip& s, const T* x, const T* g, T* gx, const Row<T>* stats) {
    Work<T> w(s);
    w.recall(stats, [](Index) { return T(1); });
    alignas(kAlignment) T sums[kLine];
    s.gather(sums, T(0), add, [&](Index at, Index n) {
#pragma GCC ivdep
        for (Index i = 0; i < n; ++i) {
            const T p = gx[at + i] = w.probability(x[at + i], i);
            if (!log) w.line[i] = g[at + i] * p;
        }
        return log ? g + at : w.line;
    });
    const T* const sum = s.spread(sums, w.line);
    s.each_line([=](Index at, Index n) {
        const T* const above = g + at;
        T* const to = gx + at;
#pragma GCC ivdep
        for (Index i = 0; i < n; ++i) to[i] = log ? above[i] - to[i] * sum[i] : (above[i] - sum[i]) * to[i];
    });
}

Rows rows_of(const char* function, const Array& x, const py::tuple& dims) {
    const Index dim = dims.empty() ? 0 : dims[0].cast<Index>();
    if (dims.size() > 1 || (x.dims ? dims.empty() || dim < 0 || dim >= x.dims : !dims.empty()))
        throw py::value_error(std::string(function) + ": expected dims with one dimension of shape " +
                              shape_text(x.dims, x.shape) + ", got " + std::string(py::str(dims)));
    return Rows(x, dim);
}

template <bool log>
py::tuple softmax(py::handle argument, const py::tuple& dims) {
    const char* const function = log ? "log_softmax" : "softmax";
    const Array x = dense(function, "x", argument), out = empty_like(x);
    const Rows rows = rows_of(function, x, dims);
    const Array stats = empty(x.type, {rows.planes * rows.inner, 2});
    by_float(function, "x", x, [&](auto t) {
        using T = decltype(t);
        rows.each_strip([&](const Strip& s) { forward<T, log>(s, x.at<T>(), out.at<T>(), stats.at<Row<T>>()); });
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, stats.owner, dims));
}

template <bool log>
py::list softmax_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const char* const function = log ? "log_softmax_vjp" : "softmax_vjp";
    const Array x = dense(function, "x", saved[0]), stats = dense(function, "stats", saved[1]);
    const Array g = like(function, "g", cotangent, x), gx = empty_like(x);
    by_float(function, "x", x, [&](auto t) {
        using T = decltype(t);
        rows_of(function, x, saved[2]).each_strip([&](const Strip& s) {
            backward<T, log>(s, x.at<T>(), g.at<T>(), gx.at<T>(), stats.at<Row<T>>());
        });
    });
    return gradients(needs, {gx});
}

// Cross entropy: log(sum(exp(x))) - x[target], row by row, and its gradient g (softmax(x) - onehot(target)).

Array classes_of(const char* function, py::handle target, Index rows, Index classes) {
    Array t = dense(function, "target", target);
    if (t.type != Type::i64) t = dense(function, "target", target.attr("astype")("int64"));
    if (t.dims != 1 || t.size() != rows) bad_shape(function, "target", shape_text(1, &rows), t);
    const long* const at = t.at<const long>();
    const bool fits = std::all_of(at, at + rows, [=](long one) { return one >= 0 && one < classes; });
    if (!fits) throw py::index_error(std::string(function) + ": expected targets of 0 to " + std::to_string(classes - 1));
    return t;
}

py::tuple cross_entropy(py::handle logits, py::handle target, const std::string& reduction) {
    const char* const function = "cross_entropy";
    const Array x = dense(function, "logits", logits);
    if (x.dims != 2) bad_shape(function, "logits", "(N, C)", x);
    const Index rows = x.shape[0], n = x.shape[1];
    const Reduction how = reduction_of(function, reduction);
    const Array t = classes_of(function, target, rows, n), stats = empty(x.type, {rows, 2});
    const Array out = how == Reduction::none ? empty(x.type, {rows}) : empty(x.type, {});
    by_float(function, "logits", x, [&](auto type) {
        using T = decltype(type);
        T* const losses = how == Reduction::none ? out.at<T>() : scratch<T>(Slot::reduce, rows);
        Rows(x, 1).each_strip([&](const Strip& s) {
            const T* const from = x.at<T>() + s.at;
            const long* const at = t.at<long>() + s.row;
            T* const loss = losses + s.row;
            Work<T> w(s);
            w.measure(x.at<T>(), nullptr, stats.at<Row<T>>());
            for (Index r = 0; r < s.rows; ++r) loss[r] = log_(w.sum[r]);
            for (Index r = 0; r < s.rows; ++r) loss[r] -= from[r * n + at[r]] - w.top[r];
        });
        if (how == Reduction::none) return;
        const double sum = std::accumulate(losses, losses + rows, 0.0);
        *out.at<T>() = static_cast<T>(how == Reduction::mean ? sum / static_cast<double>(rows) : sum);
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, t.owner, stats.owner, static_cast<int>(how)));
}

py::list cross_entropy_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const char* const function = "cross_entropy_vjp";
    const Array x = dense(function, "logits", saved[0]), t = dense(function, "target", saved[1]);
    const Array stats = dense(function, "stats", saved[2]), gx = empty_like(x);
    const Reduction how = static_cast<Reduction>(saved[3].cast<int>());
    const bool each = how == Reduction::none;
    const Index rows = x.shape[0], n = x.shape[1];
    const Array g = each ? dense(function, "g", cotangent, x.type, {rows}) : dense(function, "g", cotangent, x.type, {});
    by_float(function, "logits", x, [&](auto type) {
        using T = decltype(type);
        const T factor = how == Reduction::mean ? T(1) / static_cast<T>(rows) : T(1);
        const auto weight = [=, above = g.at<T>()](Index row) { return above[each ? row : 0] * factor; };
        Rows(x, 1).each_strip([&](const Strip& s) {
            T* const to = gx.at<T>();
            const long* const at = t.at<long>();
            Work<T> w(s);
            w.recall(stats.at<Row<T>>(), weight);
            s.each_line([&, from = x.at<T>()](Index line, Index length) {
#pragma GCC ivdep
                for (Index i = line; i < line + length; ++i) to[i] = w.probability(from[i], i - line);
            });
            for (Index r = s.row; r < s.row + s.rows; ++r) to[r * n + at[r]] -= weight(r);
        });
    });
    return gradients(needs, {gx});
}

}  // namespace

void bind_softmax(py::module_& module) {
    using py::arg;
    module.def("softmax", &softmax<false>, arg("x"), py::kw_only(), arg("dims"), "exp(x) / sum(exp(x)) along one dimension.");
    module.def("softmax_vjp", &softmax_vjp<false>, arg("saved"), arg("g"), arg("needs"), "p (g - sum(g p)).");
    module.def("log_softmax", &softmax<true>, arg("x"), py::kw_only(), arg("dims"), "log(softmax(x)) along one dimension.");
    module.def("log_softmax_vjp", &softmax_vjp<true>, arg("saved"), arg("g"), arg("needs"), "g - p sum(g).");
    module.def("cross_entropy", &cross_entropy, arg("logits"), arg("target"), py::kw_only(), arg("reduction"),
               "log(sum(exp(x))) - x[target].");
    module.def("cross_entropy_vjp", &cross_entropy_vjp, arg("saved"), arg("g"), arg("needs"),
               "g (softmax(x) - onehot(target)).");
}

}  // namespace tg
