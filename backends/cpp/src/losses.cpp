// Losses of pairs of numbers: the squared error, Huber's, and the binary cross entropy of logits.
//
// Composed of primitives, a mean squared error writes the differences to memory, reads them to write the squares, and
// reads those to add them up. Here each element's loss goes straight into a sum; and the gradient, which is written out,
// since somebody wants it, is computed from the two arguments in one pass. Nothing is kept but the arguments.
//
// A loss is a struct of its settings with functions of one pair (x, t): its value, and its slopes along x and along t.

#include "losses.hpp"

#include <numeric>

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
    TG_INLINE T loss(T x, T t) const { return (x - t) * (x - t); }
    TG_INLINE T slope(T x, T t) const { return 2 * (x - t); }
    TG_INLINE T slope_of_target(T x, T t) const { return 2 * (t - x); }
};

// d^2 / 2 where |d| < delta, and beyond a straight line; both times `factor`.
template <class T>
struct Huber {
    T delta, factor;
    TG_INLINE T loss(T x, T t) const {
        const T size = std::fabs(x - t);
        return (size < delta ? size * size * T(0.5) : (size - T(0.5) * delta) * delta) * factor;
    }
    TG_INLINE T slope(T x, T t) const { return between(-delta, x - t, delta) * factor; }
    TG_INLINE T slope_of_target(T x, T t) const { return slope(t, x); }
};

// log(1 + e) for 0 <= e <= 1, in half the time of log1p_: 2 atanh(s) with s = e / (2 + e) <= 1/3, and atanh's own series,
// s + s^3 / 3 + s^5 / 5 + ..., as far as its terms matter.
template <class T>
TG_INLINE T log1p_of_fraction(T e) {
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
    TG_INLINE T loss(T x, T t) const {
        return (1 - t) * x + ((x < 0 ? -x : T(0)) + log1p_of_fraction(exp_(-std::fabs(x))));
    }
    TG_INLINE T slope(T x, T t) const { return sigmoid_(x) - t; }
    TG_INLINE T slope_of_target(T x, T) const { return -x; }
};

// out[i] = f(x[i], t[i], g), where g is one number for each pair or one for all. If `out` is null, returns the sum of it.
template <class T, class F>
double each_pair(const T* x, const T* t, const T* g, bool each, T* out, Index n, const F& f) {
    const Index blocks = n / kGrain + 1;
    double* const sums = scratch<double>(Slot::reduce, blocks);  // one a block: they are added up in their order
    std::fill_n(sums, blocks, 0.0);
    share(n, kGrain, [=](Index begin, Index end) {
        double sum = 0;
        T all[kPiece], piece[kPiece];
        if (!each) std::fill_n(all, std::min(kPiece, end - begin), *g);
        for (Index i = begin; i < end; i += kPiece) {
            const Index size = std::min(kPiece, end - i);
            const T* const above = each ? g + i : all;
            T* const __restrict to = out ? out + i : piece;
            for (Index k = 0; k < size; ++k) to[k] = f(x[i + k], t[i + k], above[k]);
            if (!out) sum += static_cast<double>(fold_row(to, size, T(0), add));
        }
        sums[begin / kGrain] = sum;
    });
    return std::accumulate(sums, sums + blocks, 0.0);
}

template <template <class> class Loss, class... Settings>
py::tuple forward(const char* function, py::handle input, py::handle target, const std::string& reduction, Settings... settings) {
    const Array x = dense(function, "input", input), t = like(function, "target", target, x);
    const Reduction how = reduction_of(function, reduction);
    const Array out = how == Reduction::none ? empty_like(x) : empty(x.type, {});
    by_float(function, "input", x, [&](auto zero) {
        using T = decltype(zero);
        const T one = 1;
        const Loss<T> loss{T(settings)...};
        T* const to = how == Reduction::none ? out.at<T>() : nullptr;
        const double sum = each_pair(x.at<T>(), t.at<T>(), &one, false, to, x.size(),
                                     [=](T a, T b, T) { return loss.loss(a, b); });
        if (!to) *out.at<T>() = static_cast<T>(how == Reduction::mean ? sum / static_cast<double>(x.size()) : sum);
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, t.owner, static_cast<int>(how), settings...));
}

template <template <class> class Loss, std::size_t... I>
py::list backward(const char* function, const py::tuple& saved, py::handle cotangent, const py::tuple& needs,
                  std::index_sequence<I...>) {
    const Array x = dense(function, "input", saved[0]), t = like(function, "target", saved[1], x);
    const Reduction how = static_cast<Reduction>(saved[2].cast<int>());
    const bool each = how == Reduction::none;
    const Array g = each ? like(function, "g", cotangent, x) : dense(function, "g", cotangent, x.type, {});
    const Array gx = wanted(needs, 0) ? empty_like(x) : Array(), gt = wanted(needs, 1) ? empty_like(x) : Array();
    by_float(function, "input", x, [&](auto all) {
        using T = decltype(all);
        const Loss<T> loss{T(saved[3 + I].template cast<double>())...};
        if (!each) all = how == Reduction::mean ? *g.at<T>() / static_cast<T>(x.size()) : *g.at<T>();
        const auto gradient = [&](const Array& out, const auto& slope) {
            if (out.owner) each_pair(x.at<T>(), t.at<T>(), each ? g.at<T>() : &all, each, out.at<T>(), x.size(), slope);
        };
        gradient(gx, [=](T a, T b, T above) { return above * loss.slope(a, b); });
        gradient(gt, [=](T a, T b, T above) { return above * loss.slope_of_target(a, b); });
    });
    return gradients(needs, {gx, gt});
}

// NAME and NAME_vjp of a loss, with the names of its settings, in their order.
template <template <class> class Loss, class... Names>
void bind(py::module_& module, const char* name, const char* formula, Names... settings) {
    using py::arg;
    module.def(name, [name](py::handle x, py::handle t, As<Names, double>... values, const std::string& reduction) {
        return forward<Loss>(name, x, t, reduction, values...);
    }, arg("input"), arg("target"), py::kw_only(), settings..., arg("reduction"), formula);
    module.def((std::string(name) + "_vjp").c_str(), [name](const py::tuple& saved, py::handle g, const py::tuple& needs) {
        return backward<Loss>(name, saved, g, needs, std::index_sequence_for<Names...>());
    }, arg("saved"), arg("g"), arg("needs"), "Its gradients.");
}

}  // namespace

Reduction reduction_of(const char* function, const std::string& text) {
    if (text == "none") return Reduction::none;
    if (text == "mean") return Reduction::mean;
    if (text == "sum") return Reduction::sum;
    throw py::value_error(std::string(function) + ": expected reduction 'mean', 'sum' or 'none', got '" + text + "'");
}

void bind_losses(py::module_& module) {
    bind<Squared>(module, "mse_loss", "(input - target)^2, reduced.");
    bind<Huber>(module, "huber_loss", "Huber's loss times a factor, reduced.", py::arg("delta"), py::arg("factor"));
    bind<BinaryCrossEntropy>(module, "binary_cross_entropy_with_logits", "(1 - t) x - log(sigmoid(x)), reduced.");
}

}  // namespace tg
