// Activations, each forward and backward in one pass: the kernel pairs of the fused ops in tinygrad_edu/nn/activations.py,
// which has the formulas in Tensor ops.
//
// An activation is given by two functions of a number: its value, and its slope there. Only x is kept for the backward
// pass; what the slope shares with the value is calculated again, which takes less time than writing and reading it would.

#include <tuple>

#include "broadcast.hpp"
#include "math.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

using py::arg;
using py::handle;
constexpr Index kBlock = 1 << 12;  // elements that a thread takes at a time

template <class F>
py::tuple forward(const std::string& name, handle input, F value, const py::object& settings) {
    const Array x = view(name.c_str(), "input", input);
    const auto out = by_float(name.c_str(), "input", x, [&](auto t) {
        return combine(Shape(x), kBlock, value, In<decltype(t)>{x});
    });
    return py::make_tuple(out, py::make_tuple(x.owner, settings));
}

// f(g, x) of each number of an array and of its cotangent.
template <class F>
py::object gradient(const char* name, const char* argument, handle input, handle cotangent, F f) {
    const Array x = view(name, argument, input), g = view(name, "g", cotangent);
    check_like(name, "g", g, x);
    return by_float(name, argument, x, [&](auto t) {
        return combine(Shape(x), kBlock, f, In<decltype(t)>{g}, In<decltype(t)>{x});
    });
}

template <class F>
py::tuple backward(const std::string& name, const py::tuple& saved, handle cotangent, F slope) {
    const auto f = [=](auto g, auto x) { return g * slope(x); };
    return py::make_tuple(gradient(name.c_str(), "what was saved", saved[0], cotangent, f));
}

// Binds NAME and NAME_vjp. `value` and `slope` take a number, and the settings of these names in its dtype.
template <class Value, class Slope, class... Name>
void bind(py::module_& module, const std::string& name, Value value, Slope slope, Name... names) {
    const std::string vjp = name + "_vjp";
    module.def(name.c_str(), [=](handle x, As<Name, double>... settings) {
        return forward(name, x, [=](auto a) { return value(a, decltype(a)(settings)...); }, py::make_tuple(settings...));
    }, arg("x"), py::kw_only(), arg(names)...);
    module.def(vjp.c_str(), [=](const py::tuple& saved, handle g, handle) {
        return std::apply([&](auto... settings) {
            return backward(vjp, saved, g, [=](auto a) { return slope(a, decltype(a)(settings)...); });
        }, saved[1].cast<std::tuple<As<Name, double>...>>());
    }, arg("saved"), arg("g"), arg("needs"));
}

// ---- The formulas that are longer than a line.

constexpr double kRootHalf = 0.70710678118654752440, kRoot2Pi = 0.79788456080286535588;  // sqrt(1/2), sqrt(2/pi)
constexpr double kCubic = 0.044715;  // of gelu's approximation

// The normal distribution's density at x, and P(X <= x). A float's P is had from the density: beyond |x| there is density
// times Mills' ratio, which is u times a polynomial in u = 1 / (1 + |x| / 4) (C. Hastings 1955; our own coefficients).
template <class T>
struct Normal {
    T density, below;
};
template <class T>
TG_INLINE Normal<T> normal(T x) {
    const T e = exp_(T(-0.5) * x * x), density = T(0.5 * kRoot2Pi) * e;
    if constexpr (!is_float<T>) return {density, T(0.5) * (1 + erf_(x * T(kRootHalf)))};
    const T u = 1 / (1 + T(0.25) * std::fabs(x));
    const T beyond = e * u * horner<T>(u, 0.0981759302, 0.117776225, 0.00510851899, 0.317455736, -0.30389847, 0.361292688,
                                           -0.0959106339);
    return {density, x < 0 ? beyond : 1 - beyond};
}
template <class T>
TG_INLINE T gelu_tanh(T x) {
    return tanh_(T(kRoot2Pi) * (x + T(kCubic) * x * x * x));
}

py::tuple gelu(handle x, const std::string& approximate) {
    if (approximate == "none") return forward("gelu", x, [](auto a) { return a * normal(a).below; }, py::str(approximate));
    return forward("gelu", x, [](auto a) { return decltype(a)(0.5) * a * (1 + gelu_tanh(a)); }, py::str(approximate));
}
py::tuple gelu_vjp(const py::tuple& saved, handle g, handle) {
    if (saved[1].cast<std::string>() == "none")
        return backward("gelu_vjp", saved, g, [](auto a) {
            const auto n = normal(a);
            return n.below + a * n.density;
        });
    return backward("gelu_vjp", saved, g, [](auto a) {
        using T = decltype(a);
        const T t = gelu_tanh(a);
        return T(0.5) * (1 + t) + T(0.5) * a * (1 - t * t) * (T(kRoot2Pi) * (1 + T(3 * kCubic) * a * a));
    });
}

// tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2) and e = exp(x); in the slope 1 - tanh^2 = 4 (n + 1) / (n + 2)^2.
template <class T>
constexpr T mish_limit = is_float<T> ? 20 : 40;  // from here on tanh is 1, and n might overflow

}  // namespace

void bind_activations(py::module_& module) {
    // g, or 0 where ReLU's result is 0, even if g is infinite; a NaN lets it pass.
    module.def("relu_gradient", [](handle g, handle out) {
        return gradient("relu_gradient", "out", out, g, [](auto above, auto y) { return y == 0 ? 0 : above; });
    }, arg("g"), arg("out"));
    module.def("gelu", &gelu, arg("x"), py::kw_only(), arg("approximate") = "none");
    module.def("gelu_vjp", &gelu_vjp, arg("saved"), arg("g"), arg("needs"));
    bind(module, "leaky_relu", [](auto a, auto below) { return a > 0 ? a : a * below; },
         [](auto a, auto below) { return a > 0 ? 1 : below; }, "negative_slope");
    bind(module, "hardswish", [](auto a) {
        using T = decltype(a);
        return a * between<T>(0, a + 3, 6) * T(1.0 / 6);
    }, [](auto a) {
        const auto rising = a * decltype(a)(1.0 / 3) + decltype(a)(0.5);
        return a <= -3 ? 0 : a < 3 ? rising : 1;
    });
    bind(module, "sigmoid", [](auto a) { return sigmoid_(a); }, [](auto a) {
        const auto s = sigmoid_(a);
        return s * (1 - s);
    });
    bind(module, "logsigmoid", [](auto a) { return -((a < 0 ? -a : 0) + log1p_(exp_(-std::fabs(a)))); },
         [](auto a) { return sigmoid_(-a); });
    bind(module, "silu", [](auto a) { return a * sigmoid_(a); }, [](auto a) {
        const auto s = sigmoid_(a);
        return s * (1 + a * (1 - s));
    });
    bind(module, "mish", [](auto a) {
        const auto e = exp_(a), n = e * (e + 2);
        return a > mish_limit<decltype(a)> ? a : a * (n / (n + 2));
    }, [](auto a) {
        const auto e = exp_(a), n = e * (e + 2), below = 1 / (n + 2);
        const auto curved = below * (n + a * (e / (1 + e)) * (4 * (n + 1) * below));
        return a > mish_limit<decltype(a)> ? 1 + (a - a) : curved;  // NaN at infinity, as the formula's
    });
    bind(module, "elu", [](auto a, auto alpha, auto scale, auto rate) {
        const auto below = expm1_(a * rate) * (alpha * scale);
        return a < 0 ? below : a * scale;
    }, [](auto a, auto alpha, auto scale, auto rate) {
        const auto below = exp_(a * rate) * (alpha * scale * rate);
        return a <= 0 ? below : scale;
    }, "alpha", "scale", "rate");
    bind(module, "softplus", [](auto a, auto beta, auto threshold) {
        const auto curved = log1p_(exp_(a * beta)) * (1 / beta);
        return a * beta > threshold ? a : curved;
    }, [](auto a, auto beta, auto threshold) {
        const auto curved = sigmoid_(a * beta);
        return a * beta > threshold ? 1 : curved;
    }, "beta", "threshold");
}

}  // namespace tg
