// Reading and adding by index, and writing into an array: `take`, `put_add`, `assign`.
//
// Index arrays for the leading dimensions become one list of row numbers, each row being what the dimensions that are
// not indexed hold. Then `take` copies rows and `put_add` adds rows, the gradient of an embedding: a row that occurs
// twice is added twice, always in the order of the indices, so that neither chance nor the number of threads can change
// a bit of the sum. Threads therefore share columns, not rows.

#include "broadcast.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

using py::handle;
constexpr Index kShared = 1 << 16;  // elements from which threads share
constexpr Index kNever = Index(1) << 60;
constexpr Index kColumns = 64;  // that one thread adds at a time

struct Rows {
    bool usable = false;         // all indices are arrays of int64 or int32, fit together and lie within the array
    Shape shape;                 // of the indices, broadcast
    std::vector<Index> numbers;  // one row for each index
};

Rows rows_of(const char* function, const py::tuple& index, int dims, const Index* sizes) {
    Rows rows;
    std::vector<Array> arrays;
    if (index.empty() || static_cast<int>(index.size()) > dims) return rows;
    for (handle one : index) {
        if (!is_array(one)) return rows;
        const Array& x = arrays.emplace_back(view(function, "an index", one));
        if ((x.type != Type::i64 && x.type != Type::i32) || !rows.shape.meet(x)) return rows;
    }
    Index total = 1;
    for (int d = 0; d < rows.shape.dims; ++d) total *= rows.shape.sizes[d];
    rows.numbers.resize(static_cast<std::size_t>(total));
    rows.usable = true;
    std::vector<Index> before;  // the numbers by the indices so far
    for (const Array& x : arrays) {
        const Index size = *sizes++;
        const auto place = [&](Index at) {
            rows.usable = rows.usable && -size <= at && at < size;
            return at < 0 ? at + size : at;
        };
        if (x.type == Type::i64) evaluate(rows.shape, rows.numbers.data(), kNever, place, In<std::int64_t>{x});
        else evaluate(rows.shape, rows.numbers.data(), kNever, place, In<std::int32_t>{x});
        for (std::size_t i = 0; i < before.size(); ++i) rows.numbers[i] += before[i] * size;
        if (index.size() > 1) before = rows.numbers;
    }
    return rows;
}

py::object take(handle object, const py::tuple& index) {
    const Array x = view("take", "x", object);
    const int indexed = static_cast<int>(index.size());
    Rows rows = rows_of("take", index, x.dims, x.shape);
    if (x.type == Type::other || !x.contiguous || !rows.usable || rows.shape.dims + x.dims - indexed > kMaxDims)
        return numpy("take")(object, index);
    Index width = 1;
    for (int d = indexed; d < x.dims; ++d) width *= rows.shape.sizes[rows.shape.dims++] = x.shape[d];
    const Array out = empty(x.type, rows.shape.dims, rows.shape.sizes);
    by_size(item_size(x.type), [&](auto u) {
        using U = decltype(u);
        const auto copy = [width, from = x.at<U>(), to = out.at<U>(), row = rows.numbers.data()](Index begin, Index end) {
            const auto bytes = static_cast<std::size_t>(width) * sizeof(U);
            if (width == 1)
                for (Index i = begin; i < end; ++i) to[i] = from[row[i]];
            else
                for (Index i = begin; i < end; ++i) std::memcpy(to + i * width, from + row[i] * width, bytes);
        };
        share(static_cast<Index>(rows.numbers.size()), kShared / 4, copy, std::max(width, Index(1)));
    });
    return out.owner;
}

template <class T>
void add_rows(const T* from, const std::vector<Index>& rows, Index width, T* to) {
    const Index count = static_cast<Index>(rows.size());
    const auto columns = [&](Index begin, Index end) {
        for (Index i = 0; i < count; ++i) {
            const T* const x = from + i * width;
            T* const __restrict sum = to + rows[static_cast<std::size_t>(i)] * width;
            for (Index c = begin; c < end; ++c) sum[c] += x[c];
        }
    };
    if (count * width < kShared) return columns(0, width);
    const Unlocked unlocked(count * width);
    parallel_ranges(width, kColumns, columns);
}

py::object put_add(handle object, const py::tuple& index, const py::tuple& shape) {
    const Array x = dense("put_add", "x", object);
    const int dims = static_cast<int>(shape.size()), indexed = static_cast<int>(index.size());
    Index sizes[kMaxDims], width = 1;
    if (dims > kMaxDims) return numpy("put_add")(object, index, shape);
    for (int d = 0; d < dims; ++d) sizes[d] = shape[static_cast<std::size_t>(d)].cast<Index>();
    const Rows rows = rows_of("put_add", index, dims, sizes);
    for (int d = indexed; d < dims; ++d) width *= sizes[d];
    const bool fits = rows.usable && x.size() == static_cast<Index>(rows.numbers.size()) * width;
    if (!fits || (x.type != Type::f32 && x.type != Type::f64 && x.type != Type::i64))
        return numpy("put_add")(object, index, shape);
    const Array out = empty(x.type, dims, sizes);
    parallel_ranges(out.size() * item_size(x.type), 1 << 20, [&](Index begin, Index end) {
        std::memset(out.data + begin, 0, static_cast<std::size_t>(end - begin));
    });
    if (x.type == Type::f32) add_rows(x.at<float>(), rows.numbers, width, out.at<float>());
    if (x.type == Type::f64) add_rows(x.at<double>(), rows.numbers, width, out.at<double>());
    if (x.type == Type::i64) add_rows(x.at<std::uint64_t>(), rows.numbers, width, out.at<std::uint64_t>());  // wraps
    return out.owner;
}

// Writes an array of the same dtype into a contiguous one; all else (another dtype, other memory orders, arrays that
// overlap, Python numbers) is NumPy's affair.
void assign(handle object, handle source) {
    const auto others = [&] { numpy("assign")(object, source); };
    if (!is_array(object) || !is_array(source)) return others();
    const Array x = view("assign", "the target", object), value = view("assign", "the value", source);
    const bool writable = py::detail::check_flags(object.ptr(), py::detail::npy_api::NPY_ARRAY_WRITEABLE_);
    if (!writable || !x.contiguous || !x.owner.is(object) || x.type != value.type || x.type == Type::other) return others();
    Shape shape(x);
    if (x.size() == 0 || !shape.meet(value) || shape.dims != x.dims || !std::equal(x.shape, x.shape + x.dims, shape.sizes))
        return others();
    const int item = item_size(x.type);
    const char *low = value.data, *high = value.data + item;  // the bytes from the first to the last that it reaches
    for (int d = 0; d < value.dims; ++d) {
        const Index reach = (value.shape[d] - 1) * value.strides[d];
        (reach < 0 ? low : high) += reach;
    }
    if (low < x.data + x.size() * item && x.data < high) return others();
    by_size(item, [&](auto u) {
        using U = decltype(u);
        evaluate(shape, x.at<U>(), kShared / 4, [](U a) { return a; }, In<U>{value});
    });
}

}  // namespace

void bind_index(py::module_& module) {
    using py::arg;
    module.def("take", &take, arg("x"), arg("index"));
    module.def("put_add", &put_add, arg("x"), arg("index"), arg("shape"));
    module.def("assign", &assign, arg("target"), arg("value"));
}

}  // namespace tg
