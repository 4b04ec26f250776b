// Layer norm and root-mean-square norm: each row is read from memory once, forward and backward.
//
//     out = (x - mean) r w + b,   r = 1 / sqrt(var + eps)          rms_norm: mean = 0, b = 0, var the mean of x^2
//
// A row (some hundred numbers) stays in the first-level cache while it is summed, squared and scaled. The backward pass
// needs mean and r of each row, two numbers, and makes the rest again from x. With u = g w and y = (x - mean) r,
//
//     gx = r (u - mean(u) - y mean(u y)),   gw = sum over rows of g y,   gb = sum over rows of g
//
// for rms_norm without mean(u). The sums over rows are made block by block, and the blocks, which depend on the shape
// alone, are then added up in order. Source: J. Ba et al., "Layer Normalization", 2016; the gradient is a calculation.

#include <cmath>
#include <cstring>

#include "memory.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kMostBlocks = 16;    // of rows: each has sums of its own for the gradients of w and b
constexpr Index kWork = 1 << 14;     // elements in a block at least, or threads are not worth their while

struct Shape {
    Index rows, n;     // n numbers a row
    Index per_block;   // rows
    Index blocks() const { return (rows + per_block - 1) / per_block; }
};

Shape shape_of(const Array& x, int dims) {
    Shape s{1, 1, 1};
    for (int i = 0; i < x.dims; ++i) (i < x.dims - dims ? s.rows : s.n) *= x.shape[i];
    const Index even = (s.rows + kMostBlocks - 1) / kMostBlocks, least = kWork / (s.n + 1) + 1;
    s.per_block = even > least ? even : least;
    return s;
}

template <class T, bool Centred>
void forward_row(const T* x, const T* w, const T* b, T* out, Index n, T eps, T* statistics) {
    T mean = 0, squares = 0;
    if (Centred) {
#pragma omp simd reduction(+ : mean)
        for (Index j = 0; j < n; ++j) mean += x[j];
        mean /= T(n);
    }
#pragma omp simd reduction(+ : squares)
    for (Index j = 0; j < n; ++j) squares += (x[j] - mean) * (x[j] - mean);
    const T r = T(1) / std::sqrt(squares / T(n) + eps);
    for (Index j = 0; j < n; ++j) {
        const T y = (x[j] - mean) * r;
        out[j] = b ? y * w[j] + b[j] : w ? y * w[j] : y;
    }
    statistics[0] = mean, statistics[1] = r;
}

// gx of one row, if wanted, and the row's part of gw and gb.
template <class T, bool Centred>
void backward_row(const T* x, const T* w, const T* g, Index n, const T* statistics, T* gx, T* gw, T* gb) {
    const T mean = statistics[0], r = statistics[1];
    T along = 0, total = 0;  // sums of u y and of u
#pragma omp simd reduction(+ : along, total)
    for (Index j = 0; j < n; ++j) {
        const T u = w ? g[j] * w[j] : g[j];
        along += u * ((x[j] - mean) * r);
        total += u;
    }
    along /= T(n), total = Centred ? total / T(n) : T(0);
    if (gx)
        for (Index j = 0; j < n; ++j) {
            const T u = w ? g[j] * w[j] : g[j], y = (x[j] - mean) * r;
            gx[j] = r * (u - total - y * along);
        }
    if (gw)
        for (Index j = 0; j < n; ++j) gw[j] += g[j] * ((x[j] - mean) * r);
    if (gb)
        for (Index j = 0; j < n; ++j) gb[j] += g[j];
}

template <class Body>
void each_block(const Shape& s, Body&& body) {
    const Unlocked unlocked(s.rows * s.n);
    parallel(s.blocks(), [&](Index block) {
        const Index begin = block * s.per_block, end = begin + s.per_block;
        body(block, begin, end < s.rows ? end : s.rows);
    });
}

// The sums of all blocks, from `partial` (blocks, n), added up in order.
template <class T>
Array added_up(const T* partial, Index stride, const Shape& s, const Array& like) {
    Array sum = empty_like(like);
    T* const out = sum.at<T>();
    std::memset(out, 0, static_cast<std::size_t>(s.n) * sizeof(T));
    for (Index k = 0; k < s.blocks(); ++k)
        for (Index j = 0; j < s.n; ++j) out[j] += partial[k * stride + j];
    return sum;
}

// An argument that may be None: of x's dtype and n numbers.
Array parameter(const char* function, const char* argument, const py::object& object, const Array& x, Index n) {
    if (object.is_none()) return {};
    Array w = dense(function, argument, object);
    if (w.type != x.type) bad_type(function, argument, name(x.type), w);
    if (w.size() != n) bad_shape(function, argument, std::to_string(n) + " numbers", w);
    return w;
}

template <bool Centred>
py::tuple forward(const char* function, py::handle input, const py::object& weight, const py::object& bias, int dims,
                  double eps) {
    const Array x = dense(function, "input", input);
    const Shape s = shape_of(x, dims);
    const Array w = parameter(function, "weight", weight, x, s.n), b = parameter(function, "bias", bias, x, s.n);
    const Array out = empty_like(x), statistics = empty(x.type, {s.rows, 2});
    by_float(function, "input", x, [&](auto zero) {
        using T = decltype(zero);
        each_block(s, [&](Index, Index begin, Index end) {
            for (Index i = begin; i < end; ++i)
                forward_row<T, Centred>(x.at<T>() + i * s.n, w.at<T>(), b.at<T>(), out.at<T>() + i * s.n, s.n, T(eps),
                                        statistics.at<T>() + 2 * i);
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, weight, bias, dims, statistics.owner));
}

template <bool Centred>
py::list backward(const char* function, const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const Array x = dense(function, "input", saved[0]), g = dense(function, "g", cotangent);
    const Shape s = shape_of(x, saved[3].cast<int>());
    const Array w = parameter(function, "weight", saved[1], x, s.n), b = parameter(function, "bias", saved[2], x, s.n);
    const Array statistics = dense(function, "statistics", saved[4], x.type, {s.rows, 2});
    if (g.type != x.type) bad_type(function, "g", name(x.type), g);
    if (g.size() != x.size()) bad_shape(function, "g", shape_text(x.dims, x.shape), g);
    const auto wanted = [&](std::size_t i) { return i < needs.size() && needs[i].cast<bool>(); };
    const bool for_x = wanted(0), for_w = wanted(1), for_b = wanted(2);
    const Array gx = for_x ? empty_like(x) : Array();
    py::list gradients;
    gradients.append(for_x ? gx.owner : py::none());
    by_float(function, "input", x, [&](auto zero) {
        using T = decltype(zero);
        const Index stride = s.n * (for_w + for_b);
        T* const partial = scratch<T>(Slot::other, s.blocks() * stride);
        each_block(s, [&](Index block, Index begin, Index end) {
            T *const gw = for_w ? partial + block * stride : nullptr, *const gb = for_b ? partial + (block + 1) * stride - s.n : nullptr;
            if (stride) std::memset(partial + block * stride, 0, static_cast<std::size_t>(stride) * sizeof(T));
            for (Index i = begin; i < end; ++i)
                backward_row<T, Centred>(x.at<T>() + i * s.n, w.at<T>(), g.at<T>() + i * s.n, s.n,
                                         statistics.at<T>() + 2 * i, for_x ? gx.at<T>() + i * s.n : nullptr, gw, gb);
        });
        if (needs.size() > 1) gradients.append(for_w ? added_up(partial, stride, s, w).owner : py::none());
        if (needs.size() > 2) gradients.append(for_b ? added_up(partial + stride - s.n, stride, s, b).owner : py::none());
    });
    return gradients;
}

template <bool Centred>
void bind(py::module_& module, const char* function) {
    using py::arg;
    module.def(function,
               [function](py::handle x, const py::object& w, const py::object& b, int dims, double eps) {
                   return forward<Centred>(function, x, w, b, dims, eps);
               },
               arg("input"), arg("weight") = py::none(), arg("bias") = py::none(), py::kw_only(), arg("dims"), arg("eps"),
               "See tinygrad_edu.nn.normalization.");
    module.def((std::string(function) + "_vjp").c_str(),
               [function](const py::tuple& saved, py::handle g, const py::tuple& needs) {
                   return backward<Centred>(function, saved, g, needs);
               },
               arg("saved"), arg("g"), arg("needs"), "The gradients of the norm.");
}

}  // namespace

void bind_layer_norm(py::module_& module) {
    bind<true>(module, "layer_norm");
    bind<false>(module, "rms_norm");
}

}  // namespace tg
