// Reductions over any axes of arrays that lie in memory in any way: sums, products, largest elements.
//
// Whatever the axes are, the dimensions that are reduced ("rows") and those that stay ("columns") are each put in the
// order in which they lie in memory, and those that lie together are made one. The innermost two make a matrix, whose
// rows become one; the others say where such matrices are. Neighbours in memory are either
//
//     terms of one result:  a b c d  -> a + b + c + d     or of many:  a   b   c   d
//                           e f g h  -> e + f + g + h                  e   f   g   h
//                                                                     a+e b+f c+g d+h
//
// and either way vectors of them are added. Many partial sums keep a sum accurate: a float32 sum of 2^24 ones, one after
// the other, would stop at 2^24, as 2^24 + 1 is no float32. Here a lane of a vector adds 64 numbers at most; its sum goes
// into a double, and those of large blocks are added in pairs, pairs of pairs, and so on. What the blocks are depends on
// shapes alone: 1 and 2 threads give the same bits.
//
// Source on the error of partial sums: N. Higham, "The accuracy of floating point summation", 1993, section 3.

#include <functional>

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

constexpr Index kGrain = 1 << 15;    // elements worth a block of their own
constexpr Index kColumns = 2048;     // at most so many results at once: their partial sums stay in the L1 cache
constexpr Index kRows = 64;          // terms of a partial sum of columns
constexpr Index kChunks = 64;        // at most so many blocks share one result
template <class T>
constexpr Index kLeaf = 256 * kLanes<T>;  // terms of a partial sum of neighbours: 64 for each lane of four vectors

// What is reduced by: how two numbers, or two vectors of them, become one, and the number that changes nothing. Integers
// wrap around, which C++ allows unsigned ones only: so sums and products are taken of those.
template <class Operation, int neutral>
struct Wrapping {
    static constexpr bool wraps = true;
    template <class T>
    static constexpr T first = neutral;
    template <class V>
    static V combine(V a, V b) { return Operation()(a, b); }
};
using Sum = Wrapping<std::plus<>, 0>;
using Product = Wrapping<std::multiplies<>, 1>;

struct Largest {
    static constexpr bool wraps = false;
    template <class T>
    static constexpr T first = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    template <class V>
    static V combine(V a, V b) {  // a NaN is larger than anything: where a is one, no comparison with it is true
        const V larger = b > a ? b : a;
        if constexpr (std::is_arithmetic_v<V>) return b != b ? b : larger;
        else return (V)((decltype(b != b))larger | (b != b));  // all bits set are a NaN, too
    }
};

template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, double, T>;  // what holds the sum of partial sums

// n numbers, `step` apart, become one.
template <class Op, class T>
Wide<T> along(const T* x, Index n, Index step) {
    Wide<T> total = Op::template first<Wide<T>>;
    T copy[kLeaf<T>];
    for (Index m; n > 0; n -= m, x += m * step) {
        m = std::min(n, kLeaf<T>);  // numbers with gaps are first put together
        for (Index i = 0; step != 1 && i < m; ++i) copy[i] = x[i * step];
        const T part = fold_row(step == 1 ? x : copy, m, Op::template first<T>, [](auto a, auto b) { return Op::combine(a, b); });
        total = Op::template combine<Wide<T>>(total, part);
    }
    return total;
}

// Combines the columns of R rows with what `out` holds, whose length is a multiple of a vector's.
template <int R, class Op, class T>
void across(const T* x, Index row_step, Index columns, T* out) {
    constexpr Index L = kLanes<T>;
    Index j = 0;
    for (; columns - j >= L; j += L) {
        Vec<T> part = load(x + j);
        for (int r = 1; r < R; ++r) part = Op::combine(part, load(x + r * row_step + j));
        store<T>(out + j, Op::combine(load(out + j), part));
    }
    if (j == columns) return;
    Vec<T> part = load(out + j);
    for (int r = 0; r < R; ++r) part = Op::combine(part, load_first(x + r * row_step + j, columns - j, Op::template first<T>));
    store<T>(out + j, part);
}

// Combines each column of a matrix, at most kColumns of them, with what `total` holds.
template <class Op, class T>
void panel(const T* x, Index rows, Index row_step, Index columns, Index column_step, Wide<T>* total) {
    constexpr Index L = kLanes<T>;
    const bool beside = column_step == 1 && row_step != 1;
    T part[kColumns];
    for (Index n; rows > 0; rows -= n, x += n * row_step) {
        // Short rows without gaps are taken as longer ones, in which a result has several columns: they fill the vectors.
        const Index fold = beside && row_step == columns ? std::clamp(256 / columns / 16 * 16, Index(1), rows) : 1;
        const Index width = fold * columns;
        if (beside && width >= L) {
            const Index few = std::min(rows / fold, kRows);
            n = few * fold;
            std::fill_n(part, (width + L - 1) / L * L, Op::template first<T>);
            for (Index r = 0, m; r < few; r += m) {
                m = few - r < 8 ? 1 : 8;
                (m == 1 ? across<1, Op, T> : across<8, Op, T>)(x + r * fold * row_step, fold * row_step, width, part);
            }
            for (Index k = 0; k < width; k += columns)
                for (Index j = 0; j < columns; ++j) total[j] = Op::template combine<Wide<T>>(total[j], part[k + j]);
        } else {
            n = columns > 1 && std::abs(row_step) > std::abs(column_step) ? std::min(rows, kRows) : rows;
            for (Index j = 0; j < columns; ++j) total[j] = Op::combine(total[j], along<Op>(x + j * column_step, n, row_step));
        }
    }
}

struct Dim {
    Index size, in, out;  // steps in elements, in the argument and (for one that stays) in the result
};

// Some of the dimensions, the one with the largest step first.
struct Dims {
    int count = 0;
    Dim at[kMaxDims];

    void add(Dim dim) {
        int d = count++;
        for (; d > 0 && std::abs(at[d - 1].in) < std::abs(dim.in); --d) at[d] = at[d - 1];
        at[d] = dim;
    }
    // Those that lie together become one; takes out the last, and returns it.
    Dim merge() {
        int last = 0;
        for (int d = 1; d < count; ++d) {
            const Dim inner = at[d], outer = at[last];
            if (outer.in == inner.size * inner.in && outer.out == inner.size * inner.out)
                at[last] = {outer.size * inner.size, inner.in, inner.out};
            else
                at[++last] = inner;
        }
        return count ? at[count = last] : Dim{1, 0, 0};
    }
    // Where the element of that number is, in the argument and in the result.
    Dim place(Index number) const {
        Dim place{1, 0, 0};
        for (int d = count - 1; d >= 0; --d) {
            const Index i = d ? number % at[d].size : number;  // (a division takes its time)
            place.in += i * at[d].in, place.out += i * at[d].out;
            if (d) number /= at[d].size;
        }
        return place;
    }
};

struct Plan {
    Dims stay, go;      // the dimensions that stay and those that are reduced, without their innermost ones:
    Dim columns, rows;
    Index outputs = 1, terms = 1;

    Plan(const Array& x, std::uint64_t reduced, Index itemsize) {
        for (int d = x.dims - 1; d >= 0; --d) {
            const bool goes = reduced >> d & 1;
            if (x.shape[d] != 1) (goes ? go : stay).add({x.shape[d], x.strides[d] / itemsize, goes ? 0 : outputs});
            (goes ? terms : outputs) *= x.shape[d];
        }
        columns = stay.merge();
        rows = go.merge();
    }
};

template <class Op, class T>
void reduce(const Plan& p, const T* x, T* out) {
    // A cell is some neighbouring results; where there are few cells, several chunks of terms share one.
    const bool beside = std::abs(p.columns.in) < std::abs(p.rows.in);
    const Index width = std::min(p.columns.size, beside ? kColumns : std::clamp(kGrain / p.terms, Index(1), kColumns));
    const Index strips = (p.columns.size + width - 1) / width, cells = p.outputs / p.columns.size * strips;
    const Index least = std::max(kGrain / width, p.terms / kChunks) / kRows * kRows + kRows;
    const Index chunk = cells < kChunks / 4 || !beside ? least : p.terms;
    const Index chunks = (p.terms + chunk - 1) / chunk, all = cells * width;
    Wide<T>* const parts = chunks > 1 ? scratch<Wide<T>>(Slot::reduce, chunks * all) : nullptr;
    const auto finish = [&](Index cell, const Wide<T>* total) {
        const Index first = cell % strips * width, n = std::min(width, p.columns.size - first), step = p.columns.out;
        T* const to = out + p.stay.place(cell / strips).out + first * step;
        for (Index j = 0; j < n; ++j) to[j * step] = static_cast<T>(total[j]);
    };
    share(chunks * cells, kGrain, [&](Index begin, Index end) {
        Wide<T> own[kColumns];
        for (Index unit = begin; unit < end; ++unit) {
            const Index cell = unit % cells, first = cell % strips * width, n = std::min(width, p.columns.size - first);
            const T* const here = x + p.stay.place(cell / strips).in + first * p.columns.in;
            Wide<T>* const total = parts ? parts + unit * width : own;
            std::fill_n(total, width, Op::template first<Wide<T>>);
            Index term = unit / cells * chunk, left = std::min(chunk, p.terms - term);
            Index run = term / p.rows.size, row = term % p.rows.size;
            for (Index m; left > 0; left -= m, ++run, row = 0) {
                m = std::min(left, p.rows.size - row);
                panel<Op>(here + p.go.place(run).in + row * p.rows.in, m, p.rows.in, n, p.columns.in, total);
            }
            if (!parts) finish(cell, total);
        }
    }, std::min(chunk, p.terms) * width);
    if (!parts) return;
    for (Index step = 1; step < chunks; step *= 2)
        for (Index c = 0; c + step < chunks; c += 2 * step)
            for (Index k = 0; k < all; ++k) parts[c * all + k] = Op::combine(parts[c * all + k], parts[(c + step) * all + k]);
    for (Index cell = 0; cell < cells; ++cell) finish(cell, parts + cell * width);
}

template <class Op, class T>
py::object reduced(const Array& x, std::uint64_t axes, bool keepdims) {
    Index shape[kMaxDims];
    int dims = 0;
    for (int d = 0; d < x.dims; ++d)
        if (keepdims || !(axes >> d & 1)) shape[dims++] = axes >> d & 1 ? 1 : x.shape[d];
    const Array out = empty(x.type, dims, shape);
    const Plan plan(x, axes, sizeof(T));
    if (plan.terms == 0)
        std::fill_n(out.at<T>(), plan.outputs, Op::template first<T>);
    else if (plan.outputs)
        reduce<Op>(plan, x.at<const T>(), out.at<T>());
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
            throw py::value_error(std::string(function) + ": expected axes of 0 to " + std::to_string(x.dims - 1) +
                                  ", got " + std::to_string(axis));
        bits |= std::uint64_t(1) << axis;
    }
    return bits;
}

template <class Op>
void bind(py::module_& module, const char* function, const char* doc) {
    module.def(function, [function](py::handle argument, py::handle axes, bool keepdims) {
        const Array x = view(function, "x", argument);
        const std::uint64_t bits = axes_of(function, x, axes);
        // Sums of bools are integers. Nothing has no largest element: NumPy's error, unless the result is empty too.
        const bool fine = Op::wraps ? x.type != Type::boolean : x.size() > 0;
        switch (fine ? x.type : Type::other) {
            case Type::f32: return reduced<Op, float>(x, bits, keepdims);
            case Type::f64: return reduced<Op, double>(x, bits, keepdims);
            case Type::i64: return reduced<Op, std::conditional_t<Op::wraps, std::uint64_t, std::int64_t>>(x, bits, keepdims);
            case Type::i32: return reduced<Op, std::conditional_t<Op::wraps, std::uint32_t, std::int32_t>>(x, bits, keepdims);
            case Type::u8:
            case Type::boolean: return reduced<Op, std::uint8_t>(x, bits, keepdims);
            default: return numpy(function)(argument, axes, keepdims);
        }
    }, py::arg("x"), py::arg("axes"), py::arg("keepdims"), doc);
}

}  // namespace

void bind_reductions(py::module_& module) {
    bind<Sum>(module, "sum", "The sums over the axes.");
    bind<Product>(module, "prod", "The products over the axes.");
    bind<Largest>(module, "max", "The largest elements over the axes.");
}

}  // namespace tg
