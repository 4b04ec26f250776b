// Batch normalisation: the statistics of each channel, the normalised images, and the way back.
//
// A channel is H x W numbers of each image, which lie side by side, or, without H and W, every C-th number of a matrix.
// A thread takes some channels, all images of them: few, so that what it reads twice, once for the mean and once for the
// variance, is in its cache by then; but so many that their numbers of one image are a few cache lines, for else the
// processor would hop through memory. Sums of a thousand numbers are added up in double, and the variance is that of the
// deviations from the mean, never the mean of squares less the square of the mean, which would cancel.
//
// The way back, of y = (x - m) r w + b with r = 1 / sqrt(v + eps), where in training m and v are x's own mean and variance
// over n numbers, is what the chain rule makes of it:
//
//     gb = sum of g,    gw = r sum of g (x - m),    gx = w r (g - gb / n - (x - m) r gw / n)    or gx = w r g
//
// Source: S. Ioffe and C. Szegedy, "Batch Normalization", 2015.

#include "subjects.hpp"

namespace tg {
namespace {

constexpr Index kBlock = 1 << 14;  // numbers that a thread takes at a time
constexpr Index kRun = 1024;       // numbers that are summed up as they are, in the lanes of a vector
constexpr Index kStrip = 512;       // numbers of an image that a thread takes at least, where there are so many

struct Layout {
    Index images, channels, inner;

    Layout(const char* function, const Array& x) {
        if (x.dims < 2) bad_shape(function, "x", "(N, C, ...)", x);
        images = x.shape[0], channels = x.shape[1], inner = x.size(2, x.dims);
    }
    Index count() const { return images * inner; }  // numbers of a channel
    // An argument of one number a channel, which may be None.
    Array vector(const char* function, const char* argument, py::handle object, const Array& x) const {
        return optional(function, argument, object, x.type, {channels});
    }
    // Calls f(begin, end) with ranges of channels, on several threads if there is enough to do.
    template <class F>
    void each(const F& f) const {
        const Index strip = std::max<Index>(1, kStrip / std::max<Index>(1, inner)), size = std::max<Index>(1, strip * count());
        const auto strips = [&](Index begin, Index end) { f(begin * strip, std::min(end * strip, channels)); };
        share((channels + strip - 1) / strip, kBlock, strips, size);
    }
    // Calls f(where, c) for each number of the channels.
    template <class F>
    void each_number(Index begin, Index end, const F& f) const {
        for (Index image = 0; image < images; ++image) {
            const Index first = image * channels * inner;
            if (inner == 1) {
#pragma omp simd
                for (Index c = begin; c < end; ++c) f(first + c, c);
                continue;
            }
            for (Index c = begin; c < end; ++c) {
#pragma omp simd
                for (Index i = first + c * inner; i < first + (c + 1) * inner; ++i) f(i, c);
            }
        }
    }
    // Adds the sums of f(where, c) and of h(where, c) over each channel's numbers to a[c] and b[c].
    template <class T, class F, class H>
    void sum(Index begin, Index end, double* a, double* b, const F& f, const H& h) const {
        for (Index image = 0; image < images; ++image) {
            const Index first = image * channels * inner;
            if (inner == 1) {
#pragma omp simd
                for (Index c = begin; c < end; ++c) a[c] += double(f(first + c, c)), b[c] += double(h(first + c, c));
                continue;
            }
            for (Index c = begin; c < end; ++c)
                for (Index at = 0; at < inner; at += kRun) {
                    const Index from = first + c * inner + at, to = from + std::min(kRun, inner - at);
                    T s = 0, t = 0;
#pragma omp simd reduction(+ : s, t)
                    for (Index i = from; i < to; ++i) s += f(i, c), t += h(i, c);
                    a[c] += double(s), b[c] += double(t);
                }
        }
    }
};

py::tuple batch_statistics(py::handle input, py::object running_mean, py::object running_var, double momentum) {
    const char* const function = "batch_statistics";
    const Array x = dense(function, "x", input);
    const Layout all(function, x);
    const Array mean = empty(x.type, {all.channels}), var = empty_like(mean);
    Target running[2];
    if (!running_mean.is_none()) running[0] = target(function, "running_mean", running_mean, x.type, all.channels);
    if (!running_var.is_none()) running[1] = target(function, "running_var", running_var, x.type, all.channels);
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const T* const from = x.at<T>();
        T *const m = mean.at<T>(), *const v = var.at<T>();
        T *const kept_m = running[0].array.at<T>(), *const kept_v = running[1].array.at<T>();
        const double n = double(all.count());
        std::vector<double> sums(static_cast<std::size_t>(2 * all.channels), 0.0);
        double *const a = sums.data(), *const b = a + all.channels;
        all.each([&](Index begin, Index end) {
            all.sum<T>(begin, end, a, b, [=](Index i, Index) { return from[i]; }, [](Index, Index) { return T(0); });
            for (Index c = begin; c < end; ++c) m[c] = T(a[c] / n), a[c] = 0;
            // The deviations' own sum is what rounding the mean has left: both are corrected for it.
            all.sum<T>(begin, end, a, b, [=](Index i, Index c) { return from[i] - m[c]; },
                       [=](Index i, Index c) { return (from[i] - m[c]) * (from[i] - m[c]); });
            for (Index c = begin; c < end; ++c) {
                b[c] -= a[c] * a[c] / n;
                if (std::isfinite(a[c])) m[c] = T(double(m[c]) + a[c] / n);  // else of infinite numbers
                v[c] = T(b[c] / n);
                if (kept_m) kept_m[c] = T((1.0 - momentum) * double(kept_m[c]) + momentum * double(m[c]));
                if (kept_v) kept_v[c] = T((1.0 - momentum) * double(kept_v[c]) + momentum * b[c] / std::max(n - 1.0, 1.0));
            }
        });
    });
    for (const Target& one : running) one.finish();
    return py::make_tuple(mean.owner, var.owner);
}

py::tuple batch_norm(py::handle input, py::handle mean, py::handle var, py::handle weight, py::handle bias, bool training,
                     double eps) {
    const char* const function = "batch_norm";
    const Array x = dense(function, "x", input);
    const Layout all(function, x);
    if (mean.is_none() || var.is_none())
        throw py::type_error("batch_norm: expected mean and var to be NumPy arrays, got None");
    const Array m = all.vector(function, "mean", mean, x), v = all.vector(function, "var", var, x);
    const Array w = all.vector(function, "weight", weight, x), b = all.vector(function, "bias", bias, x);
    const Array out = empty_like(x);
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const T *const from = x.at<T>(), *const middle = m.at<T>();
        T* const to = out.at<T>();
        std::vector<T> scale, shift;
        for (Index c = 0; c < all.channels; ++c) {
            scale.push_back((w.data ? w.at<T>()[c] : T(1)) / std::sqrt(v.at<T>()[c] + T(eps)));
            shift.push_back(b.data ? b.at<T>()[c] : T(0));
        }
        all.each([&, s = scale.data(), t = shift.data()](Index begin, Index end) {
            all.each_number(begin, end, [=](Index i, Index c) { to[i] = (from[i] - middle[c]) * s[c] + t[c]; });
        });
    });
    return py::make_tuple(out.owner, py::make_tuple(x.owner, m.owner, v.owner, or_none(w), training, eps));
}

// None for mean and var: in training they are part of x, and in evaluation nobody asks.
py::list batch_norm_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const char* const function = "batch_norm_vjp";
    const Array x = dense(function, "x", saved[0]), g = like(function, "g", cotangent, x);
    const Layout all(function, x);
    const Array mean = all.vector(function, "mean", saved[1], x), var = all.vector(function, "var", saved[2], x);
    const Array weight = all.vector(function, "weight", saved[3], x);
    const bool training = saved[4].cast<bool>();
    const double eps = saved[5].cast<double>(), n = double(all.count());
    const Array gx = wanted(needs, 0) ? empty_like(x) : Array(), gw = wanted(needs, 3) ? empty_like(mean) : Array();
    const Array gb = wanted(needs, 4) ? empty_like(mean) : Array();
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const T *const from = x.at<T>(), *const back = g.at<T>(), *const m = mean.at<T>(), *const w = weight.at<T>();
        T* const to = gx.at<T>();
        std::vector<double> sums(static_cast<std::size_t>(2 * all.channels), 0.0);
        std::vector<T> scales(static_cast<std::size_t>(3 * all.channels));  // of gx = g p + (x - m) q + r
        double *const a = sums.data(), *const b = a + all.channels;
        T *const p = scales.data(), *const q = p + all.channels, *const r = q + all.channels;
        all.each([&](Index begin, Index end) {
            if (training || gw.data || gb.data)
                all.sum<T>(begin, end, a, b, [=](Index i, Index) { return back[i]; },
                           [=](Index i, Index c) { return back[i] * (from[i] - m[c]); });
            for (Index c = begin; c < end; ++c) {
                const double inverse = 1.0 / std::sqrt(double(var.at<T>()[c]) + eps);
                const double scale = inverse * (w ? double(w[c]) : 1.0);
                if (gw.data) gw.at<T>()[c] = T(b[c] * inverse);
                if (gb.data) gb.at<T>()[c] = T(a[c]);
                p[c] = T(scale);
                q[c] = T(-scale * inverse * inverse * b[c] / n);
                r[c] = T(-scale * a[c] / n);
            }
            if (to && training)
                all.each_number(begin, end, [=](Index i, Index c) {
                    to[i] = back[i] * p[c] + ((from[i] - m[c]) * q[c] + r[c]);
                });
            else if (to)
                all.each_number(begin, end, [=](Index i, Index c) { to[i] = back[i] * p[c]; });
        });
    });
    return gradients(needs, {gx, Array(), Array(), gw, gb});
}

}  // namespace

void bind_batch_norm(py::module_& module) {
    using py::arg;
    module.def("batch_statistics", &batch_statistics, arg("x"), arg("running_mean") = py::none(),
               arg("running_var") = py::none(), py::kw_only(), arg("momentum") = 0.0, "See tinygrad_edu.nn.batch_norm.");
    module.def("batch_norm", &batch_norm, arg("x"), arg("mean"), arg("var"), arg("weight") = py::none(),
               arg("bias") = py::none(), py::kw_only(), arg("training"), arg("eps"), "See tinygrad_edu.nn.batch_norm.");
    module.def("batch_norm_vjp", &batch_norm_vjp, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace tg
