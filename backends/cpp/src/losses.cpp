// Losses of pairs of numbers: the squared error, Huber's, and the binary cross entropy of logits.
//
// Composed of primitives, a mean squared error writes the differences to memory, reads them to write the squares, and
// reads those to add them up. Here each element's loss goes straight into a sum; and the gradient, which is written out,
// since somebody wants it, is computed from the two arguments in one pass. Nothing is kept but the arguments.
//
// A loss is a struct with two functions of one pair (x, t): its value, and its slope along x.

#include "losses.hpp"

#include <algorithm>
#include <cmath>

#include "math.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

constexpr Index kPiece = 512;      // losses added up in their own precision, before they go into a double
constexpr Index kGrain = 1 << 14;  // elements worth a block of their own

template <class T>
struct Squared {
    [[gnu::always_inline]] T loss(T x, T t) const { return (x - t) * (x - t); }
    [[gnu::always_inline]] T slope(T x, T t) const { return 2 * (x - t); }
    [[gnu::always_inline]] T slope_of_target(T x, T t) const { return 2 * (t - x); }
};

// d^2 / 2 where |d| < delta, and beyond a straight line; both times `factor`.
template <class T>
struct Huber {
    T delta, factor;
    [[gnu::always_inline]] T loss(T x, T t) const {
        const T size = std::fabs(x - t);
        return (size < delta ? size * size * T(0.5) : (size - T(0.5) * delta) * delta) * factor;
    }
    [[gnu::always_inline]] T slope(T x, T t) const { return between(-delta, x - t, delta) * factor; }
    [[gnu::always_inline]] T slope_of_target(T x, T t) const { return slope(t, x); }
};

// log(1 + e) for 0 <= e <= 1, in half the time of log1p_: 2 atanh(s) with s = e / (2 + e) <= 1/3, and atanh's own series,
// s + s^3 / 3 + s^5 / 5 + ..., as far as its terms matter.
template <class T>
[[gnu::always_inline]] inline T log1p_of_fraction(T e) {
    const T s = e / (2 + e), z = s * s;
    T p;
    if constexpr (is_float<T>)
        p = horner<T>(z, 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15);
    else
        p = horner<T>(z, 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15, 1. / 17, 1. / 19, 1. / 21, 1. / 23, 1. / 25,
                      1. / 27, 1. / 29, 1. / 31, 1. / 33);
    return 2 * (s + s * z * p);
}

// (1 - t) x - log s(x), s being the sigmoid: -log s(x) = max(-x, 0) + log(1 + exp(-|x|)) does not overflow.
template <class T>
struct BinaryCrossEntropy {
    [[gnu::always_inline]] T loss(T x, T t) const {
        return (1 - t) * x + ((x < 0 ? -x : T(0)) + log1p_of_fraction(exp_(-std::fabs(x))));
    }
    [[gnu::always_inline]] T slope(T x, T t) const { return sigmoid_(x) - t; }
    [[gnu::always_inline]] T slope_of_target(T x, T) const { return -x; }
};

// The two arguments, of one shape and dtype.
struct Pair {
    Array x, t;
};

Pair pair_of(const char* function, py::handle input, py::handle target) {
    Pair p{dense(function, "input", input), dense(function, "target", target)};
    if (p.t.type != p.x.type) bad_type(function, "target", name(p.x.type), p.t);
    if (p.t.dims != p.x.dims || !std::equal(p.x.shape, p.x.shape + p.x.dims, p.t.shape))
        bad_shape(function, "target", shape_text(p.x.dims, p.x.shape), p.t);
    return p;
}

// Calls block(begin, end) on blocks of n elements, on several threads if it is worth it.
template <class F>
void spread(Index n, const F& block) {
    const Unlocked unlocked(n);
    if (n < 2 * kGrain) return block(0, n);
    parallel_ranges(n, kGrain, block);
}

template <class Loss, class T>
double sum_of(const Loss& loss, const T* x, const T* t, Index n) {
    double* const sums = scratch<double>(Slot::reduce, n / kGrain + 1);  // one a block: they are added up in their order
    std::fill_n(sums, n / kGrain + 1, 0.0);
    spread(n, [=](Index begin, Index end) {
        double sum = 0;
        for (Index i = begin; i < end; i += kPiece) {
            const T *const a = x + i, *const b = t + i;
            T piece[kPiece];
            const Index size = std::min(kPiece, end - i);
            for (Index k = 0; k < size; ++k) piece[k] = loss.loss(a[k], b[k]);
            sum += static_cast<double>(fold_row(piece, size, T(0), [](auto u, auto v) { return u + v; }));
        }
        sums[begin / kGrain] = sum;
    });
    double sum = 0;
    for (Index i = 0; i <= n / kGrain; ++i) sum += sums[i];
    return sum;
}

template <template <class> class Loss, class... Settings>
py::tuple forward(const char* function, py::handle input, py::handle target, const std::string& reduction, Settings... settings) {
    const Pair p = pair_of(function, input, target);
    const Reduction how = reduction_of(function, reduction);
    const Array out = how == Reduction::none ? empty_like(p.x) : empty(p.x.type, {});
    by_float(function, "input", p.x, [&](auto type) {
        using T = decltype(type);
        const Loss<T> loss{T(settings)...};
        const T *const x = p.x.at<const T>(), *const t = p.t.at<const T>();
        T* const to = out.at<T>();
        const Index n = p.x.size();
        if (how != Reduction::none) {
            const double sum = sum_of(loss, x, t, n);
            *to = static_cast<T>(how == Reduction::mean ? sum / static_cast<double>(n) : sum);
            return;
        }
        spread(n, [=](Index begin, Index end) {
            for (Index i = begin; i < end; ++i) to[i] = loss.loss(x[i], t[i]);
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(p.x.owner, p.t.owner, static_cast<int>(how), settings...));
}

template <class T, class Slope>
void gradient(const T* x, const T* t, const T* g, bool each, T share, T* to, Index n, const Slope& slope) {
    spread(n, [=](Index begin, Index end) {
        const T all = *g * share;
        if (each)
            for (Index i = begin; i < end; ++i) to[i] = g[i] * slope(x[i], t[i]);
        else
            for (Index i = begin; i < end; ++i) to[i] = all * slope(x[i], t[i]);
    });
}

template <template <class> class Loss, class... Settings>
py::list backward(const char* function, const py::tuple& saved, py::handle cotangent, const py::tuple& needs, Settings... settings) {
    const Pair p = pair_of(function, saved[0], saved[1]);
    const Reduction how = static_cast<Reduction>(saved[2].cast<int>());
    const bool each = how == Reduction::none;
    const Array g = dense(function, "g", cotangent);
    if (g.type != p.x.type) bad_type(function, "g", name(p.x.type), g);
    const Index n = p.x.size(), wanted = each ? n : 1;
    if (g.size() != wanted) bad_shape(function, "g", each ? shape_text(p.x.dims, p.x.shape) : "()", g);
    py::list gradients;
    for (int argument = 0; argument < 2; ++argument) {
        if (!needs[argument].cast<bool>()) {
            gradients.append(py::none());
            continue;
        }
        const Array out = empty_like(p.x);
        by_float(function, "input", p.x, [&](auto type) {
            using T = decltype(type);
            const Loss<T> loss{T(settings)...};
            const T *const x = p.x.at<const T>(), *const t = p.t.at<const T>(), *const above = g.at<const T>();
            const T share = how == Reduction::mean ? T(1) / static_cast<T>(n) : T(1);
            if (n == 0) return;
            if (argument == 0)
                gradient(x, t, above, each, share, out.at<T>(), n, [=](T a, T b) __attribute__((always_inline)) { return loss.slope(a, b); });
            else
                gradient(x, t, above, each, share, out.at<T>(), n, [=](T a, T b) __attribute__((always_inline)) { return loss.slope_of_target(a, b); });
        });
        gradients.append(out.owner);
    }
    return gradients;
}

// The functions of one loss without settings: NAME and NAME_vjp.
template <template <class> class Loss>
void bind_plain(py::module_& module, const char* name, const char* name_vjp, const char* formula) {
    using py::arg;
    module.def(name, [name](py::handle x, py::handle t, const std::string& reduction) { return forward<Loss>(name, x, t, reduction); },
               arg("input"), arg("target"), py::kw_only(), arg("reduction"), formula);
    module.def(name_vjp, [name_vjp](const py::tuple& saved, py::handle g, const py::tuple& needs) { return backward<Loss>(name_vjp, saved, g, needs); },
               arg("saved"), arg("g"), arg("needs"), "Its gradients.");
}

py::tuple huber_loss(py::handle x, py::handle t, double delta, double factor, const std::string& reduction) {
    return forward<Huber>("huber_loss", x, t, reduction, delta, factor);
}

py::list huber_loss_vjp(const py::tuple& saved, py::handle g, const py::tuple& needs) {
    return backward<Huber>("huber_loss_vjp", saved, g, needs, saved[3].cast<double>(), saved[4].cast<double>());
}

}  // namespace

Reduction reduction_of(const char* function, const std::string& text) {
    if (text == "none") return Reduction::none;
    if (text == "mean") return Reduction::mean;
    if (text == "sum") return Reduction::sum;
    throw py::value_error(std::string(function) + ": expected reduction 'mean', 'sum' or 'none', got '" + text + "'");
}

void bind_losses(py::module_& module) {
    using py::arg;
    bind_plain<Squared>(module, "mse_loss", "mse_loss_vjp", "(input - target)^2, reduced.");
    bind_plain<BinaryCrossEntropy>(module, "binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits_vjp", "(1 - t) x - log(sigmoid(x)), reduced.");
    module.def("huber_loss", &huber_loss, arg("input"), arg("target"), py::kw_only(), arg("delta"), arg("factor"), arg("reduction"), "Huber's loss times a factor, reduced.");
    module.def("huber_loss_vjp", &huber_loss_vjp, arg("saved"), arg("g"), arg("needs"), "Its gradients.");
}

}  // namespace tg
