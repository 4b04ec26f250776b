// The matrix product and the linear layer, as Python sees them. The work is done in gemm.cpp.

#include "broadcast.hpp"
#include "gemm.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

// The last two dimensions of an array, as a matrix. A stride that nobody steps by (of a size of 1) is made to look dense.
template <class T>
Matrix<T> matrix(const Array& x) {
    const Index rows = x.shape[x.dims - 2], columns = x.shape[x.dims - 1], size = sizeof(T);
    const Index step = columns > 1 ? x.strides[x.dims - 1] / size : 1;
    return {x.at<const T>(), rows, columns, rows > 1 ? x.strides[x.dims - 2] / size : columns * step, step};
}

// All but the last dimension taken together as rows, for an array that is dense or has two dimensions.
template <class T>
Matrix<T> rows_of(const Array& x) {
    if (x.dims == 2) return matrix<T>(x);
    return {x.at<const T>(), x.rows(), x.columns(), x.columns(), 1};
}

Array with_rows(const char* function, const char* argument, py::handle object) {
    Array x = view(function, argument, object);
    return x.dims == 2 ? x : dense(function, argument, object);
}

// An operand's leading dimensions, those of a batch, as long as the operand lives.
Array leading(const Array& x) {
    return {py::object(), x.data, x.dims - 2, x.shape, x.strides, x.type, false};
}

// All products of a batch, threads over all of them: a few large ones come one after the other, each to be spread over the
// threads itself; many are handed out whole.
template <class T>
void multiply(const Array& x, const Array& y, const Grid& batch, T* out) {
    constexpr Index kWorth = 1 << 17;  // multiplications that a thread takes at once
    const Matrix<T> a = matrix<T>(x), b = matrix<T>(y);
    const Index work = a.rows * a.columns * b.columns, grain = kWorth / (work + 1) + 1;
    const bool one_by_one = batch.size < 2 * threads() && !is_small(work), alone = one_by_one || is_small(batch.size * work);
    const Unlocked unlocked(batch.size * work);
    parallel_if(!alone, ceil_div(batch.size, grain), [&](Index part) {
        for (Index i = part * grain; i < std::min(part * grain + grain, batch.size); ++i) {
            Matrix<T> ai = a, bi = b;
            ai.data = reinterpret_cast<const T*>(Place(batch, batch.ways[0], i).x);
            bi.data = reinterpret_cast<const T*>(Place(batch, batch.ways[1], i).x);
            gemm<T>(ai, bi, out + i * a.rows * b.columns, b.columns, {}, !one_by_one);
        }
    });
}

py::object matmul(py::handle x_object, py::handle y_object) {
    const Array x = view("matmul", "x", x_object), y = view("matmul", "y", y_object);
    if (x.type != y.type || (x.type != Type::f32 && x.type != Type::f64)) return numpy("matmul")(x_object, y_object);
    if (x.dims < 2) bad_shape("matmul", "x", "(..., m, k)", x);
    if (y.dims < 2 || y.shape[y.dims - 2] != x.columns())
        bad_shape("matmul", "y", "(..., " + std::to_string(x.columns()) + ", n)", y);
    const Array x_batch = leading(x), y_batch = leading(y);
    Shape shape(x_batch);
    if (!shape.meet(y_batch)) bad_shape("matmul", "y", "leading dimensions like x's, " + shape_text(x.dims, x.shape), y);
    const Grid batch(shape, {&x_batch, &y_batch});
    shape.sizes[shape.dims++] = x.shape[x.dims - 2];
    shape.sizes[shape.dims++] = y.columns();
    Array out = empty(x.type, shape.dims, shape.sizes);
    by_float("matmul", "x", x, [&](auto zero) { multiply(x, y, batch, out.at<decltype(zero)>()); });
    return std::move(out.owner);
}

py::object linear(py::handle x_object, py::handle weight_object, py::handle bias_object, const std::string& activation) {
    const bool relu = activation == "relu";
    if (!relu && activation != "none")
        throw py::value_error("linear: expected activation 'none' or 'relu', got '" + activation + "'");
    const Array x = with_rows("linear", "x", x_object), weight = view("linear", "weight", weight_object);
    if (!relu && x.type != Type::f32 && x.type != Type::f64)  // integers have no gradient, and so no `linear_vjp`
        return numpy("linear")(x_object, weight_object, bias_object);
    if (weight.dims != 2) bad_shape("linear", "weight", "(out, in)", weight);
    if (x.dims < 1 || x.columns() != weight.shape[1])
        bad_shape("linear", "x", "(..., " + std::to_string(weight.shape[1]) + ")", x);
    if (weight.type != x.type) bad_type("linear", "weight", name(x.type), weight);
    const Array bias = optional("linear", "bias", bias_object, x.type, {weight.shape[0]});
    Shape shape(x);
    shape.sizes[x.dims - 1] = weight.shape[0];
    Array out = empty(x.type, shape.dims, shape.sizes);
    by_float("linear", "x", x, [&](auto zero) {
        using T = decltype(zero);
        const Matrix<T> a = rows_of<T>(x), b = matrix<T>(weight).transposed();
        gemm<T>(a, b, out.at<T>(), b.columns, {bias.at<const T>(), relu ? Activation::relu : Activation::none, false});
    }, x.size() * weight.shape[0]);
    return py::make_tuple(std::move(out.owner), py::make_tuple(x.owner, weight.owner));
}

py::list linear_vjp(const py::tuple& saved, py::handle g_object, const py::tuple& needs) {
    const Array x = view("linear_vjp", "saved", saved[0]), weight = view("linear_vjp", "saved", saved[1]);
    const Array g = with_rows("linear_vjp", "g", g_object);
    if (g.type != x.type) bad_type("linear_vjp", "g", name(x.type), g);
    if (g.dims != x.dims || g.rows() != x.rows() || g.columns() != weight.shape[0])
        bad_shape("linear_vjp", "g", "(" + std::to_string(x.rows()) + ", " + std::to_string(weight.shape[0]) + ")", g);
    const Array gx = wanted(needs, 0) ? empty_like(x) : Array(), gw = wanted(needs, 1) ? empty_like(weight) : Array();
    const Array gb = wanted(needs, 2) ? empty(x.type, {weight.shape[0]}) : Array();
    by_float("linear_vjp", "g", g, [&](auto zero) {
        using T = decltype(zero);
        const Matrix<T> rows = rows_of<T>(x), w = matrix<T>(weight), up = rows_of<T>(g);
        if (gx.data) gemm<T>(up, w, gx.at<T>(), w.columns);
        if (gw.data) gemm<T>(up.transposed(), rows, gw.at<T>(), w.columns);
        const T one = 1;
        if (gb.data) gemm<T>({&one, 1, up.rows, 0, 0}, up, gb.at<T>(), up.columns);
    }, g.size() * weight.shape[1]);
    return gradients(needs, {gx, gw, gb});
}

}  // namespace

void bind_products(py::module_& module) {
    using py::arg;
    module.def("matmul", &matmul, arg("x"), arg("y"), "(..., m, k) @ (..., k, n), leading dimensions broadcast.");
    module.def("linear", &linear, arg("x"), arg("weight"), arg("bias") = py::none(), py::kw_only(),
               arg("activation") = "none", "See tinygrad_edu.nn.linear.");
    module.def("linear_vjp", &linear_vjp, arg("saved"), arg("g"), arg("needs"), "gx = g W, gW = gᵀ x, gb = Σ g.");
}

}  // namespace tg
