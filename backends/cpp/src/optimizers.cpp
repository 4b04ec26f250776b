// Optimizer steps in one pass: all parameters of a group in one call, each read and written once.
//
// In NumPy, Adam's formula is a dozen passes over memory for each parameter, and a dozen calls from Python. Here the
// whole formula is applied to one element after the other, in a plain loop that the compiler turns into vector
// instructions, and threads share blocks of elements. The formulas and their sources are in `tinygrad_edu.optim`.

#include <cmath>
#include <type_traits>
#include <vector>

#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kBlock = 1 << 14;  // elements that a thread takes at a time

// One parameter's arrays: itself, its gradient, and up to two of state (nullptr where there is none).
template <class T>
struct Rows {
    T* p;
    const T* g;
    T* state[2];
};

struct Parameter {
    Index size;
    Array g;
    Target p, state[2];
    template <class T>
    Rows<T> rows() const {
        return {p.array.at<T>(), g.at<T>(), {state[0].array.at<T>(), state[1].array.at<T>()}};
    }
};

[[noreturn]] void bad_count(const char* function, const char* what, std::size_t expected, std::size_t got) {
    throw py::value_error(std::string(function) + ": expected " + what + " as parameters, " + std::to_string(expected) +
                          ", got " + std::to_string(got));
}

class Parameters {
public:
    // `slots`: lists of state, as long as `params`. TypeError, ValueError if arrays do not fit each other.
    Parameters(const char* function, const py::list& params, const py::list& grads, std::initializer_list<py::list> slots) {
        if (grads.size() != params.size()) bad_count(function, "as many gradients", params.size(), grads.size());
        for (const py::list& slot : slots)
            if (slot.size() != params.size()) bad_count(function, "as much state", params.size(), slot.size());
        all_.reserve(params.size());
        for (std::size_t i = 0; i < params.size(); ++i) {
            Parameter one;
            const Array p = view(function, "a parameter", params[i]);
            by_float(function, "a parameter", p, [](auto) {});
            one.size = p.size();
            one.p = target(function, "a parameter", params[i], p.type, one.size);
            one.g = dense(function, "a gradient", grads[i]);
            if (one.g.type != p.type) bad_type(function, "a gradient", name(p.type), one.g);
            if (one.g.size() != one.size) bad_shape(function, "a gradient", shape_text(p.dims, p.shape), one.g);
            int k = 0;
            for (const py::list& slot : slots) one.state[k++] = target(function, "the state", slot[i], p.type, one.size);
            all_.push_back(std::move(one));
        }
    }

    // Calls update(number, rows, begin, end) on all blocks of all parameters.
    template <class Update>
    void each_block(Update&& update) {
        std::vector<Index> first;  // the number of each parameter's first block
        Index blocks = 0, total = 0;
        for (const Parameter& one : all_) {
            first.push_back(blocks);
            blocks += (one.size + kBlock - 1) / kBlock;
            total += one.size;
        }
        const auto block = [&](Index i) {
            std::size_t k = all_.size() - 1;
            while (first[k] > i) --k;
            const Parameter& one = all_[k];
            const Index begin = (i - first[k]) * kBlock, end = begin + kBlock < one.size ? begin + kBlock : one.size;
            if (one.p.array.type == Type::f32)
                update(k, one.rows<float>(), begin, end);
            else
                update(k, one.rows<double>(), begin, end);
        };
        {
            const Unlocked unlocked(total);
            if (total < 2 * kBlock)  // not worth waking anybody
                for (Index i = 0; i < blocks; ++i) block(i);
            else
                parallel(blocks, block);
        }
        for (const Parameter& one : all_) {
            one.p.finish();
            for (const Target& state : one.state) state.finish();
        }
    }

private:
    std::vector<Parameter> all_;
};

double number(const char* function, const char* argument, py::handle x) {
    return *dense(function, argument, x, Type::f64, {}).at<double>();
}

void sgd(const py::list& params, const py::list& grads, py::handle lr, const py::list& buffers, double momentum,
         double weight_decay, bool nesterov) {
    auto all = buffers.empty() ? Parameters("sgd", params, grads, {}) : Parameters("sgd", params, grads, {buffers});
    const double rate = number("sgd", "lr", lr);
    all.each_block([&](std::size_t, const auto& rows, Index begin, Index end) {
        using T = std::remove_reference_t<decltype(*rows.p)>;
        const T eta = T(rate), decay = T(weight_decay), mu = T(momentum);
        auto* const p = rows.p;
        const auto* const g = rows.g;
        auto* const v = rows.state[0];
        if (!v) {
#pragma omp simd
            for (Index i = begin; i < end; ++i) p[i] -= eta * (g[i] + decay * p[i]);
        } else {
#pragma omp simd
            for (Index i = begin; i < end; ++i) {
                const T slope = g[i] + decay * p[i];
                v[i] = mu * v[i] + slope;
                p[i] -= eta * (nesterov ? slope + mu * v[i] : v[i]);
            }
        }
    });
}

void rmsprop(const py::list& params, const py::list& grads, py::handle lr, const py::list& squares,
             const py::list& buffers, double alpha, double eps, double weight_decay, double momentum) {
    auto all = buffers.empty() ? Parameters("rmsprop", params, grads, {squares})
                               : Parameters("rmsprop", params, grads, {squares, buffers});
    const double rate = number("rmsprop", "lr", lr);
    all.each_block([&](std::size_t, const auto& rows, Index begin, Index end) {
        using T = std::remove_reference_t<decltype(*rows.p)>;
        const T eta = T(rate), decay = T(weight_decay), mu = T(momentum), keep = T(alpha), add = T(1 - alpha), e = T(eps);
        auto* const p = rows.p;
        const auto* const g = rows.g;
        auto *const s = rows.state[0], *const v = rows.state[1];
#pragma omp simd
        for (Index i = begin; i < end; ++i) {
            const T slope = g[i] + decay * p[i];
            s[i] = keep * s[i] + add * (slope * slope);
            T step = slope / (std::sqrt(s[i]) + e);
            if (v) step = v[i] = mu * v[i] + step;
            p[i] -= eta * step;
        }
    });
}

void adam(const py::list& params, const py::list& grads, py::handle lr, const py::list& steps, const py::list& firsts,
          const py::list& seconds, double beta1, double beta2, double eps, double weight_decay, bool decoupled) {
    Parameters all("adam", params, grads, {firsts, seconds});
    const double eta = number("adam", "lr", lr);
    std::vector<double> rates, corrections;  // of each parameter: one that had no gradient at times has fewer steps
    if (steps.size() != params.size()) bad_count("adam", "as many step counts", params.size(), steps.size());
    for (std::size_t i = 0; i < params.size(); ++i) {
        const Target step = target("adam", "a step count", steps[i], Type::f64, 1);
        const double t = *step.array.at<double>() += 1.0;
        step.finish();
        rates.push_back(eta / (1.0 - std::pow(beta1, t)));
        corrections.push_back(1.0 / std::sqrt(1.0 - std::pow(beta2, t)));
    }
    all.each_block([&](std::size_t k, const auto& rows, Index begin, Index end) {
        using T = std::remove_reference_t<decltype(*rows.p)>;
        const T b1 = T(beta1), a1 = T(1 - beta1), b2 = T(beta2), a2 = T(1 - beta2), e = T(eps);
        const T shrink = T(decoupled ? 1.0 - eta * weight_decay : 1.0), decay = T(decoupled ? 0.0 : weight_decay);
        const T rate = T(rates[k]), correction = T(corrections[k]);
        auto* const p = rows.p;
        const auto* const g = rows.g;
        auto *const m = rows.state[0], *const v = rows.state[1];
#pragma omp simd
        for (Index i = begin; i < end; ++i) {
            const T slope = g[i] + decay * p[i];
            m[i] = b1 * m[i] + a1 * slope;
            v[i] = b2 * v[i] + a2 * (slope * slope);
            p[i] = shrink * p[i] - rate * m[i] / (std::sqrt(v[i]) * correction + e);
        }
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
    module.def("adam", &adam, arg("params"), arg("grads"), arg("lr"), arg("steps"), arg("exp_avgs"), arg("exp_avg_sqs"),
               py::kw_only(), arg("beta1"), arg("beta2"), arg("eps"), arg("weight_decay"), arg("decoupled"),
               "See tinygrad_edu.optim.adam.");
}

}  // namespace tg
