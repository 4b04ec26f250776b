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

#include "memory.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kMostBlocks = 16;  // of rows: each has sums of its own for the gradients of w and b
constexpr Index kWork = 1 << 14;   // numbers in a block at least, or threads are not worth their while

struct Rows {
    Index count, n;  // n numbers a row
    Index block;     // rows that a thread takes at once
    Rows(const Array& x, int dims) : count(x.size(0, x.dims - dims)), n(x.size(x.dims - dims, x.dims)) {
        block = std::max((count + kMostBlocks - 1) / kMostBlocks, kWork / (n + 1) + 1);
    }
    // Weight or bias, n numbers that may be None.
    Array parameter(const char* function, const char* argument, py::handle object, const Array& x) const {
        if (object.is_none()) return {};
        Array w = dense(function, argument, object);
        if (w.type != x.type) bad_type(function, argument, name(x.type), w);
        if (w.size() != n) bad_shape(function, argument, std::to_string(n) + " numbers", w);
        return w;
    }
};

template <bool Centred, class T>
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

// gx of one row, and what it adds to gw and gb, each where it is wanted.
template <bool Centred, class T>
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
    for (Index j = 0; gx && j < n; ++j) {
        const T u = w ? g[j] * w[j] : g[j], y = (x[j] - mean) * r;
        gx[j] = r * (u - total - y * along);
    }
    for (Index j = 0; gw && j < n; ++j) gw[j] += g[j] * ((x[j] - mean) * r);
    for (Index j = 0; gb && j < n; ++j) gb[j] += g[j];
}

template <bool Centred>
py::tuple norm(py::handle input, py::object weight, py::object bias, int dims, double eps) {
    const char* const function = Centred ? "layer_norm" : "rms_norm";
    const Array x = dense(function, "input", input);
    const Rows rows(x, dims);
    const Array w = rows.parameter(function, "weight", weight, x), b = rows.parameter(function, "bias", bias, x);
    const Array out = empty_like(x), statistics = empty(x.type, {rows.count, 2});
    by_float(function, "input", x, [&](auto zero) {
        using T = decltype(zero);
        parallel_ranges(rows.count, rows.block, [&](Index begin, Index end) {
            for (Index i = begin, at = i * rows.n; i < end; ++i, at += rows.n)
                forward_row<Centred>(x.at<T>() + at, w.at<T>(), b.at<T>(), out.at<T>() + at, rows.n, T(eps),
                                     statistics.at<T>() + 2 * i);
        });
    }, x.size());
    return py::make_tuple(out.owner, py::make_tuple(x.owner, weight, bias, dims, statistics.owner));
}

template <bool Centred>
py::list norm_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const char* const function = Centred ? "layer_norm_vjp" : "rms_norm_vjp";
    const Array x = dense(function, "input", saved[0]), g = like(function, "g", cotangent, x);
    const Rows rows(x, saved[3].cast<int>());
    const Array w = rows.parameter(function, "weight", saved[1], x), b = rows.parameter(function, "bias", saved[2], x);
    const Array statistics = dense(function, "statistics", saved[4], x.type, {rows.count, 2});
    const auto make = [&](int i, const Array& like) { return wanted(needs, i) && like.data ? empty_like(like) : Array(); };
    const Array gx = make(0, x), gw = make(1, w), gb = make(2, b);
    by_float(function, "input", x, [&](auto zero) {
        using T = decltype(zero);
        const Index n = rows.n, blocks = (rows.count + rows.block - 1) / rows.block;
        T* const sums = scratch<T>(Slot::other, 2 * n * blocks);  // each block's of gw and gb
        parallel_ranges(rows.count, rows.block, [&](Index begin, Index end) {
            T* const sum = sums + begin / rows.block * 2 * n;
            if (gw.data || gb.data) std::fill(sum, sum + 2 * n, T(0));
            for (Index i = begin, at = i * n; i < end; ++i, at += n)
                backward_row<Centred>(x.at<T>() + at, w.at<T>(), g.at<T>() + at, n, statistics.at<T>() + 2 * i,
                                      gx.data ? gx.at<T>() + at : nullptr, gw.data ? sum : nullptr,
                                      gb.data ? sum + n : nullptr);
        });
        const auto add_up = [&](T* out, const T* sum) {
            if (out) std::fill(out, out + n, T(0));
            for (Index block = 0; out && block < blocks; ++block, sum += 2 * n)
                for (Index j = 0; j < n; ++j) out[j] += sum[j];
        };
        add_up(gw.at<T>(), sums), add_up(gb.at<T>(), sums + n);
    }, x.size());
    return gradients(needs, {gx, gw, gb});
}

template <bool Centred>
void bind(py::module_& module, const std::string& name) {
    using py::arg;
    module.def(name.c_str(), &norm<Centred>, arg("input"), arg("weight") = py::none(), arg("bias") = py::none(), py::kw_only(),
               arg("dims"), arg("eps"), "See tinygrad_edu.nn.normalization.");
    module.def((name + "_vjp").c_str(), &norm_vjp<Centred>, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace

void bind_layer_norm(py::module_& module) {
    bind<true>(module, "layer_norm");
    bind<false>(module, "rms_norm");
}

}  // namespace tg
