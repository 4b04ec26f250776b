// Reductions over any axes of arrays that lie in memory in any way: sums, products, largest elements.
//
// Whatever the axes are, the dimensions are first put in the order in which they lie in memory, and those that lie
// together are made one. Then only two cases are left, as the innermost dimension is reduced or stays:
//
//     along:   a b c d  -> (a + b + c + d)        across:   a b c d
//              e f g h  -> (e + f + g + h)                  e f g h
//                                                           -------
//                                                           a+e b+f c+g d+h
//
// and both walk through memory in its order. Each holds many partial sums at once: the processor adds several vectors at
// a time only if none waits for another. It is also what keeps sums accurate: a float32 sum of 2^24 ones, one after the
// other, would stop at 2^24, as 2^24 + 1 is no float32. Here no partial sum has more than some hundred terms, and they
// are added up in a wider type. What is a partial sum depends on shapes alone, so that 1 and 2 threads give the same bits.
//
// Source on the error of partial sums: N. Higham, "The accuracy of floating point summation", 1993, section 3.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

constexpr Index kGrain = 1 << 15;   // elements worth a block of their own
constexpr Index kColumns = 4096;    // at most so many results of `across` at once: they stay in the L1 cache
constexpr Index kRows = 64;         // terms of a partial sum of `across`
constexpr Index kChunks = 64;       // at most so many blocks share one result

// What is reduced by: how two numbers, or two vectors of them, become one. `Wide` is what holds the sum of partial sums;
// `kTerms` bounds the terms of one lane of a partial sum of `along`.
template <class T>
struct Sum {
    using Wide = std::conditional_t<std::is_same_v<T, float>, double, std::conditional_t<std::is_same_v<T, double>, long double, T>>;
    static constexpr T first = T(0);
    static constexpr bool kWatched = false;
    static constexpr Index kTerms = 16;
    template <class V>
    static V combine(V a, V b) {
        return a + b;
    }
};

template <class T>
struct Product : Sum<T> {
    using Wide = std::conditional_t<std::is_same_v<T, float>, double, T>;
    static constexpr T first = T(1);
    template <class V>
    static V combine(V a, V b) {
        return a * b;
    }
};

// A NaN is larger than anything, which takes four instructions for each vector. Without NaN it is one. So floats are
// first taken as if there were none, and their sum watched: it is a number only if all of them are.
template <class T>
struct LargestExactly {
    using Wide = T;
    static constexpr T first = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    static constexpr bool kWatched = false;
    static constexpr Index kTerms = 256;
    template <class V>
    static V combine(V a, V b) {
        return ((b > a) | (b != b)) ? b : a;
    }
};

template <class T>
struct Largest : LargestExactly<T> {
    using Exactly = LargestExactly<T>;
    static constexpr bool kWatched = std::is_floating_point_v<T>;
    template <class V>
    static V combine(V a, V b) {
        return b > a ? b : a;
    }
};

// `across` keeps a partial sum for each column: twice as wide is enough there, and unlike long double it is vectorised.
template <class Op, class T>
using Kept = std::conditional_t<std::is_same_v<T, double>, double, typename Op::Wide>;

// How partial results are combined: they may be NaN.
template <class Op, class = void>
struct Exact {
    using type = Op;
};
template <class Op>
struct Exact<Op, std::void_t<typename Op::Exactly>> {
    using type = typename Op::Exactly;
};
template <class Op, class W>
W join(W a, W b) {
    return Exact<Op>::type::template combine<W>(a, b);
}

template <class T>
bool has_nan(Vec<T> watched) {
    const T sum = fold_lanes<T>(watched, [](Vec<T> a, Vec<T> b) { return a + b; });
    return sum != sum;
}

// n numbers, `stride` apart and too few for vectors or none of one's neighbours, become one.
template <class Op, class T>
typename Op::Wide along_one_by_one(const T* x, Index n, Index stride) {
    typename Op::Wide total = Op::first;
    T watched = 0;
    for (Index i = 0; i < n; ++i) {
        total = Op::template combine<typename Op::Wide>(total, x[i * stride]);
        if constexpr (Op::kWatched) watched += x[i * stride];
    }
    if constexpr (Op::kWatched)
        if (watched != watched) return along_one_by_one<typename Op::Exactly>(x, n, stride);
    return total;
}

// n numbers, `stride` apart, become one.
template <class Op, class T>
typename Op::Wide along(const T* x, Index n, Index stride) {
    constexpr Index L = kLanes<T>;
    if (stride != 1 || n < L) return along_one_by_one<Op>(x, n, stride);
    const auto combine = [](Vec<T> a, Vec<T> b) { return Op::combine(a, b); };
    typename Op::Wide total = Op::first;
    Vec<T> watched{};
    for (Index i = 0; i < n;) {
        Vec<T> a = broadcast(Op::first), b = a, c = a, d = a;
        for (const Index end = i + std::min((n - i) / (4 * L), Op::kTerms) * 4 * L; i < end; i += 4 * L) {
            const Vec<T> p = load(x + i), q = load(x + i + L), r = load(x + i + 2 * L), s = load(x + i + 3 * L);
            a = combine(a, p), b = combine(b, q), c = combine(c, r), d = combine(d, s);
            if constexpr (Op::kWatched) watched += (p + q) + (r + s);
        }
        if (n - i < 4 * L) {  // the end of the row
            for (; n - i >= L; i += L) {
                a = combine(a, load(x + i));
                if constexpr (Op::kWatched) watched += load(x + i);
            }
            b = combine(b, load_first(x + i, n - i, Op::first));
            if constexpr (Op::kWatched) watched += load_first(x + i, n - i, T(0));
            i = n;
        }
        total = join<Op, typename Op::Wide>(total, fold_lanes<T>(combine(combine(a, b), combine(c, d)), combine));
    }
    if constexpr (Op::kWatched)
        if (has_nan<T>(watched)) return along<typename Op::Exactly>(x, n, stride);
    return total;
}

// Combines each column of a matrix, at most kColumns of them, with what `total` holds.
template <class Op, class T, class Step>
void across(const T* x, Index rows, Index row_stride, Index columns, Step step, Kept<Op, T>* total) {
    constexpr bool vectors = !std::is_same_v<Step, Index>;
    constexpr Index L = kLanes<T>;
    const auto combine = [](auto a, auto b) { return Op::combine(a, b); };
    T part[kColumns];
    for (Index done = 0; done < rows; done += kRows) {
        const Index end = std::min(rows, done + kRows);
        Vec<T> watched{};
        T watched_too = 0;
        std::fill_n(part, columns, Op::first);
        for (Index r = done, n; r < end; r += n) {
            n = end - r >= 4 ? 4 : 1;
            const T* const a = x + r * row_stride;
            Index j = 0;
            if (vectors && n == 4) {
                const T *const b = a + row_stride, *const c = b + row_stride, *const d = c + row_stride;
                for (; columns - j >= L; j += L) {
                    const Vec<T> p = load(a + j), q = load(b + j), u = load(c + j), v = load(d + j);
                    store<T>(part + j, combine(load(part + j), combine(combine(p, q), combine(u, v))));
                    if constexpr (Op::kWatched) watched += (p + q) + (u + v);
                }
            } else if (vectors)
                for (; columns - j >= L; j += L) {
                    store<T>(part + j, combine(load(part + j), load(a + j)));
                    if constexpr (Op::kWatched) watched += load(a + j);
                }
            for (; j < columns; ++j)
                for (Index k = 0; k < n; ++k) {
                    const T number = a[k * row_stride + j * step];
                    part[j] = combine(part[j], number);
                    if constexpr (Op::kWatched) watched_too += number;
                }
        }
        if constexpr (Op::kWatched)
            if (watched_too != watched_too || has_nan<T>(watched)) {
                across<typename Op::Exactly>(x + done * row_stride, end - done, row_stride, columns, step, total);
                continue;
            }
        for (Index j = 0; j < columns; ++j)
            total[j] = join<Op, Kept<Op, T>>(total[j], part[j]);
    }
}

// The same for a matrix of any strides. One with few columns and no gaps is taken as one with many columns, of which
// each result gets several: too short a row would not fill the vectors.
template <class Op, class T>
void panel(const T* x, Index rows, Index row_stride, Index columns, Index column_stride, Kept<Op, T>* total) {
    if (column_stride != 1 && columns > 1) return across<Op>(x, rows, row_stride, columns, column_stride, total);
    const std::integral_constant<Index, 1> one;
    const Index fold = row_stride == columns ? 256 / columns : 1;
    if (fold < 2 || rows < 2 * fold) return across<Op>(x, rows, row_stride, columns, one, total);
    Kept<Op, T> folded[256];
    std::fill_n(folded, fold * columns, Kept<Op, T>(Op::first));
    const Index whole = rows / fold;
    across<Op>(x, whole, fold * columns, fold * columns, one, folded);
    for (Index k = 0; k < fold * columns; ++k) {
        auto& t = total[k % columns];
        t = join<Op, Kept<Op, T>>(t, folded[k]);
    }
    if (rows > whole * fold) across<Op>(x + whole * fold * columns, rows - whole * fold, row_stride, columns, one, total);
}

struct Dim {
    Index size, in, out;  // strides in elements, in the argument and (for one that stays) in the result
};

// Some of the dimensions, the one with the largest stride first.
struct Dims {
    int count = 0;
    Dim at[kMaxDims];

    Index size() const {
        Index n = 1;
        for (int d = 0; d < count; ++d) n *= at[d].size;
        return n;
    }
    Dim pop() { return at[--count]; }

    void add(Dim dim) {
        int d = count++;
        for (; d > 0 && std::abs(at[d - 1].in) < std::abs(dim.in); --d) at[d] = at[d - 1];
        at[d] = dim;
    }
    void merge() {  // those that lie together become one
        int last = 0;
        for (int d = 1; d < count; ++d) {
            Dim& outer = at[last];
            if (outer.in == at[d].size * at[d].in && outer.out == at[d].size * at[d].out)
                outer = {outer.size * at[d].size, at[d].in, at[d].out};
            else
                at[++last] = at[d];
        }
        count = count ? last + 1 : 0;
    }
    // Calls f(in offset, out offset, number, last dimension) for the runs along the last one that make up [begin, end).
    template <class F>
    void each_run(Index begin, Index end, F&& f) const {
        const Dim last = count ? at[count - 1] : Dim{1, 0, 0};
        while (begin < end) {
            Index rest = begin / last.size, in = begin % last.size * last.in, out = begin % last.size * last.out;
            const Index n = std::min(end - begin, last.size - begin % last.size);
            for (int d = count - 2; d >= 0; rest /= at[d].size, --d) {
                in += rest % at[d].size * at[d].in;
                out += rest % at[d].size * at[d].out;
            }
            f(in, out, n, last);
            begin += n;
        }
    }
};

struct Plan {
    Dims stay, go;     // the dimensions that stay and those that are reduced, without `inner`
    Dim inner;         // the innermost of all
    bool inner_stays;
    Index outputs, terms;
};

Plan plan_of(const Array& x, std::uint64_t reduced, Index itemsize, Index* shape, int dims, bool keepdims) {
    Plan plan;
    Index out = 1;
    for (int d = x.dims - 1, o = dims - 1; d >= 0; --d) {
        const bool goes = reduced >> d & 1;
        if (!goes || keepdims) shape[o--] = goes ? 1 : x.shape[d];
        const Dim dim{x.shape[d], x.strides[d] / itemsize, goes ? 0 : out};
        if (!goes) out *= x.shape[d];
        if (dim.size != 1) (goes ? plan.go : plan.stay).add(dim);
    }
    plan.outputs = out;
    plan.terms = plan.go.size();
    plan.stay.merge();
    plan.go.merge();
    const Dims &stay = plan.stay, &go = plan.go;
    plan.inner_stays = stay.count && (!go.count || std::abs(stay.at[stay.count - 1].in) < std::abs(go.at[go.count - 1].in));
    plan.inner = plan.inner_stays ? plan.stay.pop() : go.count ? plan.go.pop() : Dim{1, 0, 0};
    return plan;
}

// Calls block(i) for all i < blocks, on several threads if that is worth it.
template <class F>
void spread(Index work, Index blocks, const F& block) {
    const Unlocked unlocked(work);
    if (work >= 2 * kGrain) return parallel(blocks, block);
    for (Index i = 0; i < blocks; ++i) block(i);
}

template <class Op, class T>
void reduce_along(const Plan& p, const T* x, T* out) {
    using Wide = typename Op::Wide;
    // Few results of many terms: several blocks share one. Otherwise a block makes several results.
    const bool shared = p.outputs < kChunks / 4 && p.terms > 2 * kGrain;
    const Index runs = p.go.size(), cuts = shared && runs == 1 ? p.inner.size : runs;  // what the terms are cut along
    const Index chunk = shared ? std::max({cuts / kChunks, kGrain * cuts / p.terms, Index(1)}) : cuts;
    const Index chunks = (cuts + chunk - 1) / chunk, results = std::max(kGrain / p.terms, Index(1));
    const Index groups = (p.outputs + results - 1) / results;
    Wide* const parts = shared ? scratch<Wide>(Slot::reduce, chunks * p.outputs) : nullptr;
    spread(p.outputs * p.terms, groups * chunks, [&](Index i) {
        const Index c = i % chunks, begin = c * chunk, end = std::min(cuts, begin + chunk);
        const Index from = i / chunks * results, to = std::min(p.outputs, from + results);
        Index number = from;
        p.stay.each_run(from, to, [&](Index at, Index to, Index n, const Dim& stay) {
            for (Index k = 0; k < n; ++k, ++number) {
                const T* const here = x + at + k * stay.in;
                Wide total = Op::first;
                if (runs == 1)
                    total = shared ? along<Op>(here + begin * p.inner.in, end - begin, p.inner.in) : along<Op>(here, p.inner.size, p.inner.in);
                else
                    p.go.each_run(begin, end, [&](Index off, Index, Index m, const Dim& go) {
                        for (Index r = 0; r < m; ++r)
                            total = join<Op, Wide>(total, along<Op>(here + off + r * go.in, p.inner.size, p.inner.in));
                    });
                if (shared)
                    parts[c * p.outputs + number] = total;
                else
                    out[to + k * stay.out] = static_cast<T>(total);
            }
        });
    });
    Index number = 0;
    if (shared) p.stay.each_run(0, p.outputs, [&](Index, Index to, Index n, const Dim& stay) {
        for (Index k = 0; k < n; ++k, ++number) {
            Wide total = parts[number];
            for (Index c = 1; c < chunks; ++c) total = join<Op, Wide>(total, parts[c * p.outputs + number]);
            out[to + k * stay.out] = static_cast<T>(total);
        }
    });
}

template <class Op, class T>
void reduce_across(const Plan& p, const T* x, T* out) {
    using Wide = Kept<Op, T>;
    const Index columns = p.inner.size, strips = (columns + kColumns - 1) / kColumns, panels = p.stay.size() * strips;
    const Index width = std::min(columns, kColumns);
    const Index rows = std::max((std::max(kGrain / width, p.terms / kChunks) + kRows - 1) / kRows * kRows, kRows);
    const Index chunk = panels < kChunks / 4 ? rows : p.terms, chunks = (p.terms + chunk - 1) / chunk;
    const bool shared = chunks > 1;
    Wide* const parts = shared ? scratch<Wide>(Slot::reduce, chunks * panels * width) : nullptr;
    const auto finish = [&](Index number, const Wide* total) {
        p.stay.each_run(number / strips, number / strips + 1, [&](Index, Index to, Index, const Dim&) {
            const Index first = number % strips * kColumns, n = std::min(columns - first, kColumns);
            for (Index j = 0; j < n; ++j) out[to + (first + j) * p.inner.out] = static_cast<T>(total[j]);
        });
    };
    // Narrow panels, many of them: several make a block.
    const Index group = shared ? 1 : std::max(kGrain / (p.terms * width), Index(1)), units = panels * chunks;
    spread(p.outputs * p.terms, (units + group - 1) / group, [&](Index i) {
        Wide own[kColumns];
        for (Index unit = i * group; unit < std::min(units, (i + 1) * group); ++unit) {
            const Index number = unit / chunks, c = unit % chunks, first = number % strips * kColumns;
            const Index n = std::min(columns - first, kColumns);
            Wide* const total = shared ? parts + (c * panels + number) * width : own;
            std::fill_n(total, n, Wide(Op::first));
            p.stay.each_run(number / strips, number / strips + 1, [&](Index at, Index, Index, const Dim&) {
                const T* const here = x + at + first * p.inner.in;
                p.go.each_run(c * chunk, std::min(p.terms, (c + 1) * chunk), [&](Index off, Index, Index m, const Dim& go) {
                    panel<Op>(here + off, m, go.in, n, p.inner.in, total);
                });
            });
            if (!shared) finish(number, total);
        }
    });
    for (Index number = 0; shared && number < panels; ++number) {
        Wide* const total = parts + number * width;
        for (Index c = 1; c < chunks; ++c)
            for (Index j = 0; j < width; ++j)
                total[j] = join<Op, Wide>(total[j], parts[(c * panels + number) * width + j]);
        finish(number, total);
    }
}

template <class Op, class T>
py::object reduce(const Array& x, std::uint64_t reduced, int dims, bool keepdims) {
    Index shape[kMaxDims];
    const Plan plan = plan_of(x, reduced, sizeof(T), shape, dims, keepdims);
    const Array out = empty(x.type, dims, shape);
    T* const to = out.at<T>();
    if (plan.outputs == 0) return out.owner;
    if (plan.terms == 0)
        std::fill_n(to, plan.outputs, Op::first);
    else if (plan.inner_stays)
        reduce_across<Op>(plan, x.at<const T>(), to);
    else
        reduce_along<Op>(plan, x.at<const T>(), to);
    return out.owner;
}

// The axes of a reduction as a set of bits. ValueError for one that the array does not have.
std::uint64_t axes_of(const char* function, const Array& x, py::handle axes) {
    std::uint64_t bits = 0;
    if (!PyTuple_Check(axes.ptr())) throw py::type_error(std::string(function) + ": expected axes to be a tuple");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(axes.ptr()); ++i) {
        const long axis = PyLong_AsLong(PyTuple_GET_ITEM(axes.ptr(), i));
        if (axis == -1 && PyErr_Occurred()) throw py::error_already_set();
        if (axis < 0 || axis >= x.dims)
            throw py::value_error(std::string(function) + ": expected axes of 0 to " + std::to_string(x.dims - 1) + ", got " + std::to_string(axis));
        bits |= std::uint64_t(1) << axis;
    }
    return bits;
}

// Integers wrap around, which C++ allows unsigned ones only: so sums and products are taken of those.
template <template <class> class Op, bool wraps>
py::object reduction(const char* function, py::handle argument, py::handle axes, bool keepdims) {
    const Array x = view(function, "x", argument);
    const std::uint64_t bits = axes_of(function, x, axes);
    const int dims = keepdims ? x.dims : x.dims - __builtin_popcountll(bits);
    switch (x.type) {
        case Type::f32: return reduce<Op<float>, float>(x, bits, dims, keepdims);
        case Type::f64: return reduce<Op<double>, double>(x, bits, dims, keepdims);
        case Type::i64: {
            using T = std::conditional_t<wraps, std::uint64_t, std::int64_t>;
            return reduce<Op<T>, T>(x, bits, dims, keepdims);
        }
        case Type::i32: {
            using T = std::conditional_t<wraps, std::uint32_t, std::int32_t>;
            return reduce<Op<T>, T>(x, bits, dims, keepdims);
        }
        case Type::boolean:
            if (wraps) break;
            [[fallthrough]];
        case Type::u8: return reduce<Op<std::uint8_t>, std::uint8_t>(x, bits, dims, keepdims);
        default: break;
    }
    return numpy(function)(argument, axes, keepdims);
}

py::object sum(py::handle x, py::handle axes, bool keepdims) { return reduction<Sum, true>("sum", x, axes, keepdims); }

py::object prod(py::handle x, py::handle axes, bool keepdims) {
    return reduction<Product, true>("prod", x, axes, keepdims);
}

py::object max(py::handle argument, py::handle axes, bool keepdims) {
    const Array x = view("max", "x", argument);
    if (x.size() == 0) return numpy("max")(argument, axes, keepdims);  // an error, unless the result is empty too
    return reduction<Largest, false>("max", argument, axes, keepdims);
}

}  // namespace

void bind_reductions(py::module_& module) {
    using py::arg;
    module.def("sum", &sum, arg("x"), arg("axes"), arg("keepdims"), "The sums over the axes.");
    module.def("prod", &prod, arg("x"), arg("axes"), arg("keepdims"), "The products over the axes.");
    module.def("max", &max, arg("x"), arg("axes"), arg("keepdims"), "The largest elements over the axes.");
}

}  // namespace tg
