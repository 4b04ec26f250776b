// Reading and adding by index, and writing into an array: `take`, `put_add`, `assign`.
//
// Index arrays for the leading dimensions become one list of row numbers, each row being what the dimensions that are
// not indexed hold. Then `take` copies rows and `put_add` adds rows, the gradient of an embedding: a row that occurs
// twice is added twice, always in the order of the indices, so that neither chance nor the number of threads can change
// a bit of the sum. Threads therefore share columns, not rows.

#include <cstring>
#include <vector>

#include "broadcast.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kShared = 1 << 16;  // elements from which threads share
constexpr Index kColumns = 64;      // that one thread adds at a time

struct Rows {
    bool usable = false;         // all indices are arrays of int64 or int32, fit together and lie within the array
    int dims = 0;                // of the indices, broadcast
    Index shape[kMaxDims];
    std::vector<Index> numbers;  // one row for each index
};

Rows rows_of(const char* function, const py::tuple& index, int dims, const Index* shape) {
    Rows rows;
    const int count = static_cast<int>(index.size());
    if (count == 0 || count > dims) return rows;
    std::vector<Array> arrays;
    for (py::handle one : index) {
        if (!is_array(one)) return rows;
        arrays.push_back(view(function, "an index", one));
        const Array& x = arrays.back();
        if (x.type != Type::i64 && x.type != Type::i32) return rows;
        const Operand old[] = {Operand(x, 1)};
        Operand so_far;
        so_far.dims = rows.dims, so_far.shape = rows.shape;
        const Operand* both[] = {&so_far, &old[0]};
        int together;
        Index merged[kMaxDims];
        if (!broadcast_shape<2>(both, together, merged)) return rows;
        rows.dims = together;
        std::copy(merged, merged + together, rows.shape);
    }
    Index total = 1;
    for (int d = 0; d < rows.dims; ++d) total *= rows.shape[d];
    rows.numbers.assign(static_cast<std::size_t>(total), 0);
    bool inside = true;
    for (int k = 0; k < count; ++k) {
        const Array& x = arrays[static_cast<std::size_t>(k)];
        const Operand operand(x, item_size(x.type));
        const Operand* operands[] = {&operand};
        const Index size = shape[k];
        each_piece(Grid<1>(rows.dims, rows.shape, operands), operands, 0, total, [&](Index first, Index n, const Piece* p) {
            for (Index i = 0; i < n; ++i) {
                const Index j = p[0].one ? 0 : i;
                const Index at = operand.item == 8 ? p[0].at<std::int64_t>()[j] : p[0].at<std::int32_t>()[j];
                inside = inside && -size <= at && at < size;
                Index& row = rows.numbers[static_cast<std::size_t>(first + i)];
                row = row * size + (at < 0 ? at + size : at);
            }
        });
    }
    rows.usable = inside;
    return rows;
}

template <class U>
void copy_rows(const U* from, const std::vector<Index>& rows, Index width, U* to) {
    const Index count = static_cast<Index>(rows.size());
    const auto some = [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
            const U* row = from + rows[static_cast<std::size_t>(i)] * width;
            if (width == 1)
                to[i] = *row;
            else
                std::memcpy(to + i * width, row, static_cast<std::size_t>(width) * sizeof(U));
        }
    };
    if (count * width < kShared) return some(0, count);
    const Unlocked unlocked(count * width);
    parallel_ranges(count, std::max(Index(1), kShared / 4 / width), some);
}

py::object take(py::handle object, const py::tuple& index) {
    const Array x = view("take", "x", object);
    const int indexed = static_cast<int>(index.size());
    const Rows rows = rows_of("take", index, x.dims, x.shape);
    if (x.type == Type::other || !x.contiguous || !rows.usable || rows.dims + x.dims - indexed > kMaxDims)
        return numpy("take")(object, index);
    Index shape[kMaxDims], width = 1;
    std::copy(rows.shape, rows.shape + rows.dims, shape);
    for (int d = indexed; d < x.dims; ++d) width *= shape[rows.dims + d - indexed] = x.shape[d];
    const Array out = empty(x.type, rows.dims + x.dims - indexed, shape);
    const int item = item_size(x.type);
    if (width == 0) return out.owner;
    if (item == 1) copy_rows(x.at<std::uint8_t>(), rows.numbers, width, out.at<std::uint8_t>());
    if (item == 4) copy_rows(x.at<std::uint32_t>(), rows.numbers, width, out.at<std::uint32_t>());
    if (item == 8) copy_rows(x.at<std::uint64_t>(), rows.numbers, width, out.at<std::uint64_t>());
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

py::object put_add(py::handle object, const py::tuple& index, const py::tuple& shape) {
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
    const Index bytes = out.size() * item_size(x.type);
    parallel_ranges(bytes, 1 << 20, [&](Index begin, Index end) {
        std::memset(out.data + begin, 0, static_cast<std::size_t>(end - begin));
    });
    if (x.type == Type::f32) add_rows(x.at<float>(), rows.numbers, width, out.at<float>());
    if (x.type == Type::f64) add_rows(x.at<double>(), rows.numbers, width, out.at<double>());
    if (x.type == Type::i64) add_rows(x.at<std::uint64_t>(), rows.numbers, width, out.at<std::uint64_t>());  // wraps
    return out.owner;
}

// The bytes from the first to the last that an array reaches.
struct Extent {
    const char *low, *high;
    Extent(const Array& x, int item) : low(x.data), high(x.data + item) {
        for (int d = 0; d < x.dims; ++d) {
            const Index reach = (x.shape[d] - 1) * x.strides[d];
            (reach < 0 ? low : high) += reach;
        }
    }
};

template <class U>
void write(const Operand& value, const Array& target) {
    const Operand* operands[] = {&value};
    const Grid<1> grid(target.dims, target.shape, operands);
    walk(grid, operands, kShared, [&](Index first, Index n, const Piece* p) {
        U* const to = target.at<U>() + first;
        if (p[0].one)
            std::fill(to, to + n, *p[0].at<U>());
        else
            std::memcpy(to, p[0].data, static_cast<std::size_t>(n) * sizeof(U));
    });
}

// Writes an array of the same dtype into a contiguous one; all else (another dtype, other memory orders, arrays that
// overlap, Python numbers) is NumPy's affair.
void assign(py::handle object, py::handle source) {
    const auto others = [&] { numpy("assign")(object, source); };
    if (!is_array(object) || !is_array(source)) return others();
    const Array x = view("assign", "the target", object), value = view("assign", "the value", source);
    const bool writable = py::detail::check_flags(object.ptr(), py::detail::npy_api::NPY_ARRAY_WRITEABLE_);
    if (!writable || !x.contiguous || !x.owner.is(object) || x.type != value.type || x.type == Type::other) return others();
    if (x.size() == 0 || value.dims > x.dims) return others();
    for (int d = 0; d < value.dims; ++d)
        if (value.shape[d] != 1 && value.shape[d] != x.shape[x.dims - value.dims + d]) return others();
    const int item = item_size(x.type);
    const Extent to(x, item), from(value, item);
    if (from.low < to.high && to.low < from.high) return others();
    const Operand operand(value, item);
    if (item == 1) write<std::uint8_t>(operand, x);
    if (item == 4) write<std::uint32_t>(operand, x);
    if (item == 8) write<std::uint64_t>(operand, x);
}

}  // namespace

void bind_index(py::module_& module) {
    using py::arg;
    module.def("take", &take, arg("x"), arg("index"));
    module.def("put_add", &put_add, arg("x"), arg("index"), arg("shape"));
    module.def("assign", &assign, arg("target"), arg("value"));
}

}  // namespace tg
