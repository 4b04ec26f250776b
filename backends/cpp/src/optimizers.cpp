// Optimizer steps in one pass: all parameters of a group in one call, each read and written once.
//
// In NumPy, Adam's formula is a dozen passes over memory for each parameter, and a dozen calls from Python. Here the
// whole formula is applied to one element after the other, in a plain loop that the compiler turns into vector
// instructions, and threads share blocks of elements. The formulas and their sources are in `tinygrad_edu.optim`.

#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kBlock = 1 << 14;  // elements that a thread takes at a time

struct Parameter {
    Array g;
    Target p, state[2];
};

void check_count(const char* function, const char* what, std::size_t expected, std::size_t got) {
    if (expected == got) return;
    throw py::value_error(std::string(function) + ": expected " + what + " as parameters, " + std::to_string(expected) +
                          ", got " + std::to_string(got));
}

class Parameters {
public:
    const double rate;  // of learning

    // `states`: a list of arrays each, or nullptr for none. TypeError, ValueError if arrays do not fit each other.
    Parameters(const char* function, const py::list& params, const py::list& grads, py::handle lr,
               std::initializer_list<const py::list*> states)
        : rate(*dense(function, "lr", lr, Type::f64, {}).at<double>()), all_(params.size()) {
        check_count(function, "as many gradients", all_.size(), grads.size());
        for (const py::list* list : states)
            if (list) check_count(function, "as much state", all_.size(), list->size());
        for (std::size_t i = 0; i < all_.size(); ++i) {
            Parameter& one = all_[i];
            const Array p = view(function, "a parameter", params[i]);
            by_float(function, "a parameter", p, [](auto) {});
            one.p = target(function, "a parameter", params[i], p.type, p.size());
            one.g = like(function, "a gradient", grads[i], p);
            Target* state = one.state;
            for (const py::list* list : states)
                if (list) *state++ = target(function, "the state", (*list)[i], p.type, p.size());
        }
    }

    // Applies formula(number of the parameter), a function of an element, its gradient, and its two numbers of state.
    template <class Formula>
    void step(const Formula& formula) {
        std::vector<Index> first{0};  // the number of each parameter's first block
        for (const Parameter& one : all_) first.push_back(first.back() + (one.g.size() + kBlock - 1) / kBlock);
        const auto update = [&](const Parameter& one, Index begin, const auto& apply) {
            const Index end = std::min(begin + kBlock, one.g.size());
            by_float("step", "a gradient", one.g, [&](auto t) {
                using T = decltype(t);
                const auto at = [&](const Array& x) { return (x.data ? x : one.p.array).template at<T>(); };
                T *const p = at(one.p.array), *const s = at(one.state[0].array), *const v = at(one.state[1].array);
                const T* const g = one.g.at<T>();
#pragma omp simd
                for (Index j = begin; j < end; ++j) apply(p[j], g[j], s[j], v[j]);
            });
        };
        share(first.back(), kBlock, [&](Index begin, Index end) {
            for (Index i = begin; i < end; ++i) {
                const auto k = static_cast<std::size_t>(std::upper_bound(first.begin(), first.end(), i) - first.begin() - 1);
                update(all_[k], (i - first[k]) * kBlock, formula(k));
            }
        }, kBlock);
        for (const Parameter& one : all_) one.p.finish(), one.state[0].finish(), one.state[1].finish();
    }

private:
    std::vector<Parameter> all_;
};

void sgd(const py::list& params, const py::list& grads, py::handle lr, const py::list& buffers, double momentum,
         double weight_decay, bool nesterov) {
    const bool kept = !buffers.empty();
    Parameters all("sgd", params, grads, lr, {kept ? &buffers : nullptr});
    all.step([=, rate = all.rate](std::size_t) {
        return [=](auto& p, auto g, auto& v, auto&) {
            using T = decltype(g);
            T slope = g + T(weight_decay) * p;
            if (kept) {
                v = T(momentum) * v + slope;
                slope = nesterov ? slope + T(momentum) * v : v;
            }
            p -= T(rate) * slope;
        };
    });
}

void rmsprop(const py::list& params, const py::list& grads, py::handle lr, const py::list& squares,
             const py::list& buffers, double alpha, double eps, double weight_decay, double momentum) {
    const bool kept = !buffers.empty();
    Parameters all("rmsprop", params, grads, lr, {&squares, kept ? &buffers : nullptr});
    all.step([=, rate = all.rate](std::size_t) {
        return [=](auto& p, auto g, auto& s, auto& v) {
            using T = decltype(g);
            const T slope = g + T(weight_decay) * p;
            s = T(alpha) * s + T(1 - alpha) * (slope * slope);
            T step = slope / (std::sqrt(s) + T(eps));
            if (kept) step = v = T(momentum) * v + step;
            p -= T(rate) * step;
        };
    });
}

void adadelta(const py::list& params, const py::list& grads, py::handle lr, const py::list& squares,
              const py::list& deltas, double rho, double eps, double weight_decay) {
    Parameters all("adadelta", params, grads, lr, {&squares, &deltas});
    all.step([=, rate = all.rate](std::size_t) {
        return [=](auto& p, auto g, auto& s, auto& d) {
            using T = decltype(g);
            const T slope = g + T(weight_decay) * p;
            s = T(rho) * s + T(1 - rho) * (slope * slope);
            const T delta = std::sqrt(d + T(eps)) / std::sqrt(s + T(eps)) * slope;
            d = T(rho) * d + T(1 - rho) * (delta * delta);
            p -= T(rate) * delta;
        };
    });
}

void adam(const py::list& params, const py::list& grads, py::handle lr, const py::list& steps, const py::list& firsts,
          const py::list& seconds, double beta1, double beta2, double eps, double weight_decay, bool decoupled) {
    Parameters all("adam", params, grads, lr, {&firsts, &seconds});
    std::vector<double> counts;  // of each parameter: one that had no gradient at times has fewer steps
    check_count("adam", "as many step counts", params.size(), steps.size());
    for (py::handle one : steps) {
        const Target step = target("adam", "a step count", one, Type::f64, 1);
        counts.push_back(*step.array.at<double>() += 1.0);
        step.finish();
    }
    const double shrink = decoupled ? 1.0 - all.rate * weight_decay : 1.0, decay = decoupled ? 0.0 : weight_decay;
    all.step([&](std::size_t k) {
        const double rate = all.rate / (1.0 - std::pow(beta1, counts[k]));
        const double correction = 1.0 / std::sqrt(1.0 - std::pow(beta2, counts[k]));
        return [=](auto& p, auto g, auto& m, auto& v) {
            using T = decltype(g);
            const T slope = g + T(decay) * p;
            m = T(beta1) * m + T(1 - beta1) * slope;
            v = T(beta2) * v + T(1 - beta2) * (slope * slope);
            p = T(shrink) * p - T(rate) * m / (std::sqrt(v) * T(correction) + T(eps));
        };
    });
}

}  // namespace

void bind_optimizers(py::module_& module) {
    using py::arg;
    module.def("sgd", &sgd, arg("params"), arg("grads"), arg("lr"), arg("momentum_buffers") = py::list(), py::kw_only(),
               arg("momentum"), arg("weight_decay"), arg("nesterov"), "See tinygrad_edu.optim.sgd.");
    module.def("rmsprop", &rmsprop, arg("params"), arg("grads"), arg("lr"), arg("square_avgs"),
               arg("momentum_buffers") = py::list(), py::kw_only(), arg("alpha"), arg("eps"), arg("weight_decay"),
               arg("momentum"), "See tinygrad_edu.optim.rmsprop.");
    module.def("adadelta", &adadelta, arg("params"), arg("grads"), arg("lr"), arg("square_avgs"), arg("acc_deltas"),
               py::kw_only(), arg("rho"), arg("eps"), arg("weight_decay"), "See tinygrad_edu.optim.adadelta.");
    module.def("adam", &adam, arg("params"), arg("grads"), arg("lr"), arg("steps"), arg("exp_avgs"), arg("exp_avg_sqs"),
               py::kw_only(), arg("beta1"), arg("beta2"), arg("eps"), arg("weight_decay"), arg("decoupled"),
               "See tinygrad_edu.optim.adam.");
}

}  // namespace tg
