// Activations, each forward and backward in one pass: the kernel pairs of the fused ops in tinygrad_edu/nn/activations.py,
// which has the formulas in Tensor ops.
//
// An activation is given by two lambdas: its value at x, and its slope there. Only x is kept for the backward pass; what
// the slope shares with the value is calculated again, which takes less time than writing and reading it would.

#include "broadcast.hpp"
#include "math.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kShared = 1 << 13;  // elements from which threads share

template <class T, class F>
py::object values(const Array& x, F f) {
    const Operand operand(x, sizeof(T));
    const Operand* operands[] = {&operand};
    const Array out = empty_like(x);
    const Grid<1> grid(x.dims, x.shape, operands);
    walk(grid, operands, kShared, [&, f](Index first, Index n, const Piece* p) {
        const T* const in = p[0].at<T>();
        T* const __restrict to = out.at<T>() + first;
        if (p[0].one)
            std::fill(to, to + n, f(*in));
        else
            for (Index i = 0; i < n; ++i) to[i] = f(in[i]);
    });
    return out.owner;
}

template <class T, class F>
py::object gradients(const Array& x, const Array& g, F slope) {
    const Operand both[] = {Operand(x, sizeof(T)), Operand(g, sizeof(T))};
    const Operand* operands[] = {&both[0], &both[1]};
    const Array out = empty_like(x);
    const Grid<2> grid(x.dims, x.shape, operands);
    walk(grid, operands, kShared, [&, slope](Index first, Index n, const Piece* p) {
        const T *const in = p[0].at<T>(), *const above = p[1].at<T>();
        T* const __restrict to = out.at<T>() + first;
        const Index step_in = !p[0].one, step_above = !p[1].one;
        if (step_in && step_above)
            for (Index i = 0; i < n; ++i) to[i] = above[i] * slope(in[i]);
        else  // the cotangent of a sum is one number
            for (Index i = 0; i < n; ++i) to[i] = above[step_above * i] * slope(in[step_in * i]);
    });
    return out.owner;
}

template <class F>
py::tuple forward(const char* name, py::handle input, F f, py::object settings = py::none()) {
    const Array x = view(name, "input", input);
    py::object out = by_float(name, "input", x, [&](auto t) { return values<decltype(t)>(x, f); });
    return py::make_tuple(std::move(out), py::make_tuple(x.owner, std::move(settings)));
}

template <class F>
py::list backward(const char* name, const py::tuple& saved, py::handle cotangent, F slope) {
    const Array x = view(name, "what was saved", saved[0]), g = view(name, "g", cotangent);
    if (g.type != x.type) bad_type(name, "g", tg::name(x.type), g);
    bool same = g.dims == x.dims;
    for (int d = 0; same && d < x.dims; ++d) same = g.shape[d] == x.shape[d];
    if (!same) bad_shape(name, "g", shape_text(x.dims, x.shape), g);
    py::list out(1);
    out[0] = by_float(name, "input", x, [&](auto t) { return gradients<decltype(t)>(x, g, slope); });
    return out;
}

// ---- The formulas.

constexpr double kRootHalf = 0.70710678118654752440, kRoot2Pi = 0.79788456080286535588;  // sqrt(1/2), sqrt(2/pi)
constexpr double kCubic = 0.044715;                                                     // of gelu's approximation

// The normal distribution's P(X <= x), and its density.
template <class T>
TG_INLINE T normal(T x) {
    return T(0.5) * (1 + erf_(x * T(kRootHalf)));
}
template <class T>
TG_INLINE T density(T x) {
    return T(0.5 * kRoot2Pi) * exp_(T(-0.5) * x * x);
}
template <class T>
TG_INLINE T gelu_tanh(T x) {
    return tanh_(T(kRoot2Pi) * (x + T(kCubic) * x * x * x));
}
template <class T>
TG_INLINE T gelu_tanh_slope(T x) {
    const T t = gelu_tanh(x);
    return T(0.5) * (1 + t) + T(0.5) * x * (1 - t * t) * (T(kRoot2Pi) * (1 + T(3 * kCubic) * x * x));
}

// tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2) and e = exp(x); its slope times x, with 1 - tanh^2 = 4 (n + 1) / (n + 2)^2.
template <class T>
constexpr T mish_limit = is_float<T> ? 20 : 40;  // from here on tanh is 1, and n might overflow
template <class T>
TG_INLINE T mish(T x) {
    const T e = exp_(x), n = e * (e + 2);
    const T curved = x * (n / (n + 2));
    return x > mish_limit<T> ? x : curved;
}
template <class T>
TG_INLINE T mish_slope(T x) {
    const T e = exp_(x), n = e * (e + 2), below = 1 / (n + 2);
    const T curved = below * (n + x * (e / (1 + e)) * (4 * (n + 1) * below));
    return x > mish_limit<T> ? 1 + (x - x) : curved;  // NaN at infinity, as the formula's
}

template <class T>
TG_INLINE T silu_slope(T x) {
    const T s = sigmoid_(x);
    return s * (1 + x * (1 - s));
}
template <class T>
TG_INLINE T log_sigmoid(T x) {
    return -((x < 0 ? -x : T(0)) + log1p_(exp_(-std::fabs(x))));
}

py::tuple gelu(py::handle x, const std::string& approximate) {
    py::str kept(approximate);
    if (approximate == "none") return forward("gelu", x, [](auto a) { return a * normal(a); }, kept);
    return forward("gelu", x, [](auto a) { return decltype(a)(0.5) * a * (1 + gelu_tanh(a)); }, kept);
}
py::list gelu_vjp(const py::tuple& saved, py::handle g, py::handle) {
    if (saved[1].cast<std::string>() == "none")
        return backward("gelu_vjp", saved, g, [](auto a) { return normal(a) + a * density(a); });
    return backward("gelu_vjp", saved, g, [](auto a) { return gelu_tanh_slope(a); });
}

py::tuple elu(py::handle x, double alpha, double scale, double rate) {
    return forward("elu", x, [=](auto a) {
        using T = decltype(a);
        const T below = expm1_(a * T(rate)) * T(alpha * scale), above = a * T(scale);
        return a < 0 ? below : above;
    }, py::make_tuple(alpha, scale, rate));
}
py::list elu_vjp(const py::tuple& saved, py::handle g, py::handle) {
    const auto [alpha, scale, rate] = saved[1].cast<std::tuple<double, double, double>>();
    return backward("elu_vjp", saved, g, [below = alpha * scale * rate, scale = scale, rate = rate](auto a) {
        using T = decltype(a);
        const T curved = exp_(a * T(rate)) * T(below), straight = T(scale);
        return a <= 0 ? curved : straight;
    });
}

py::tuple softplus(py::handle x, double beta, double threshold) {
    return forward("softplus", x, [=](auto a) {
        using T = decltype(a);
        const T curved = log1p_(exp_(a * T(beta))) * T(1 / beta);
        return a * T(beta) > T(threshold) ? a : curved;
    }, py::make_tuple(beta, threshold));
}
py::list softplus_vjp(const py::tuple& saved, py::handle g, py::handle) {
    const auto [beta, threshold] = saved[1].cast<std::tuple<double, double>>();
    return backward("softplus_vjp", saved, g, [beta = beta, threshold = threshold](auto a) {
        using T = decltype(a);
        const T curved = sigmoid_(a * T(beta));
        return a * T(beta) > T(threshold) ? T(1) : curved;
    });
}

}  // namespace

void bind_activations(py::module_& module) {
    using py::arg;
    using py::handle;
    const auto vjp = [&](const char* name, auto f) { module.def(name, f, arg("saved"), arg("g"), arg("needs")); };
    module.def("gelu", &gelu, arg("x"), py::kw_only(), arg("approximate") = "none");
    vjp("gelu_vjp", &gelu_vjp);
    module.def("elu", &elu, arg("x"), py::kw_only(), arg("alpha"), arg("scale"), arg("rate"));
    vjp("elu_vjp", &elu_vjp);
    module.def("softplus", &softplus, arg("x"), py::kw_only(), arg("beta"), arg("threshold"));
    vjp("softplus_vjp", &softplus_vjp);
    module.def("silu", [](handle x) { return forward("silu", x, [](auto a) { return a * sigmoid_(a); }); }, arg("x"));
    vjp("silu_vjp", [](const py::tuple& saved, handle g, handle) {
        return backward("silu_vjp", saved, g, [](auto a) { return silu_slope(a); });
    });
    module.def("mish", [](handle x) { return forward("mish", x, [](auto a) { return mish(a); }); }, arg("x"));
    vjp("mish_vjp", [](const py::tuple& saved, handle g, handle) {
        return backward("mish_vjp", saved, g, [](auto a) { return mish_slope(a); });
    });
    module.def("logsigmoid", [](handle x) { return forward("logsigmoid", x, [](auto a) { return log_sigmoid(a); }); }, arg("x"));
    vjp("logsigmoid_vjp", [](const py::tuple& saved, handle g, handle) {
        return backward("logsigmoid_vjp", saved, g, [](auto a) { return sigmoid_(-a); });
    });
}

}  // namespace tg
