// Pooling: the largest, or the average, of each window, and the way back.
//
// Written window by window this would be a chain of comparisons. Written place by place it is vector code: for each row
// of windows, and for each place (i, j) of the kernel, the elements at that place of all windows of the row are compared
// with the largest so far, side by side. Of the windows that reach into the padding, a place takes those in which it is
// inside the image.
//
// For the way back max_pool2d keeps which place was the largest, a byte a window where torch keeps an int64; the gradient
// goes there alone. Of equal elements the first counts, of several NaN the last, as in torch.

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "memory.hpp"
#include "subjects.hpp"

namespace tg {
namespace {

using Two = std::array<Index, 2>;
using Four = std::array<Index, 4>;  // at the top, at the bottom, at the left, at the right

constexpr Index kBlock = 1 << 15;  // elements that a thread takes at a time

// A place of the kernel: where it is in the plane, seen from a window's corner, and in which windows it is in the image.
struct Place {
    Index at;
    Two from, to;  // rows and columns of windows
};

struct Windows {
    Index planes, h, w;
    Two size, stride, counts;
    Four padding;
    Two dilation;
    std::vector<Place> places = {};

    void finish() {
        for (Index i = 0; i < size[0]; ++i)
            for (Index j = 0; j < size[1]; ++j) {
                Place place = {(i * dilation[0] - padding[0]) * w + j * dilation[1] - padding[2], {}, {}};
                for (int side = 0; side < 2; ++side) {
                    const Index at = (side ? j : i) * dilation[side] - padding[2 * side], room = (side ? w : h) - 1 - at;
                    place.from[side] = at < 0 ? (stride[side] - 1 - at) / stride[side] : 0;
                    place.to[side] = room < 0 ? 0 : std::min(counts[side], room / stride[side] + 1);
                }
                places.push_back(place);
            }
    }
    Index outputs() const { return counts[0] * counts[1]; }
    Index corner(Index row) const { return row * stride[0] * w; }  // of its first window, seen from place (0, 0) at 0
    // Calls f(number, place) for the places of a row of windows that are in the image, for some of its windows at least.
    template <class F>
    void each_place(Index row, const F& f) const {
        for (std::size_t k = 0; k < places.size(); ++k)
            if (places[k].from[0] <= row && row < places[k].to[0]) f(static_cast<Index>(k), places[k]);
    }
    // Calls f(window, offset, length) for each row of each window's elements in the image; only without dilation.
    template <class F>
    void each_run(const F& f) const {
        for (Index i = 0; i < outputs(); ++i) {
            const Index y = i / counts[1] * stride[0] - padding[0], x = i % counts[1] * stride[1] - padding[2];
            const Index from = std::max<Index>(0, x), to = std::min(w, x + size[1]);
            const Index top = std::max<Index>(0, y), bottom = std::min(h, y + size[0]);
            if (to - from == w) {  // whole rows, which lie behind each other
                f(i, top * w, (bottom - top) * w);
                continue;
            }
            for (Index row = top; row < bottom; ++row) f(i, row * w + from, to - from);
        }
    }
    template <class F>
    void each_plane(const F& f) const {
        const Index grain = std::max<Index>(1, kBlock / std::max<Index>(1, h * w));
        const auto block = [&](Index begin, Index end) {
            for (Index plane = begin; plane < end; ++plane) f(plane);
        };
        if (planes * h * w < 2 * kBlock) return block(0, planes);  // not worth waking anybody
        parallel_ranges(planes, grain, block);
    }
};

// Calls f with the step as a constant, where it is a common one: loops over it become vector instructions then.
template <class F>
void by_step(Index step, const F& f) {
    if (step == 1) return f(std::integral_constant<Index, 1>());
    if (step == 2) return f(std::integral_constant<Index, 2>());
    f(step);
}

template <class T, class Kept>
void largest(const Windows& p, const T* x, T* out, Kept* kept) {
    using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide as T: for the same vectors
    p.each_plane([&](Index plane) {
        Int* const where = scratch<Int>(Slot::other, p.counts[1]);
        for (Index row = 0; row < p.counts[0]; ++row) {
            T* const best = out + plane * p.outputs() + row * p.counts[1];
            std::fill_n(where, p.counts[1], Int(-1));
            std::fill_n(best, p.counts[1], -std::numeric_limits<T>::infinity());
            p.each_place(row, [&](Index k, const Place& place) {
                by_step(p.stride[1], [&](auto step) {
                    const T* const source = x + plane * p.h * p.w + p.corner(row) + place.at;
                    const Int number = static_cast<Int>(k);
                    const Index end = place.to[1];
#pragma omp simd simdlen(8)
                    for (Index k = place.from[1]; k < end; ++k) {
                        const T value = source[k * step];
                        const bool better = (value > best[k]) | (value != value) | (where[k] < 0);
                        best[k] = better ? value : best[k];
                        where[k] = better ? number : where[k];
                    }
                });
            });
            std::copy_n(where, p.counts[1], kept + plane * p.outputs() + row * p.counts[1]);
        }
    });
}

template <class T, class Kept>
void largest_back(const Windows& p, const T* g, const Kept* kept, T* gx) {
    p.each_plane([&](Index plane) {
        T* const to = gx + plane * p.h * p.w;
        std::fill_n(to, p.h * p.w, T(0));
        for (Index row = 0, i = plane * p.outputs(); row < p.counts[0]; ++row)
            for (Index column = 0; column < p.counts[1]; ++column, ++i)
                to[row * p.stride[0] * p.w + column * p.stride[1] + p.places[kept[i]].at] += g[i];
    });
}

// How many elements of window k of a side count, up to `counting` outside of the image.
Index counted(const Windows& p, int side, Index counting, Index k) {
    const Index start = k * p.stride[side] - p.padding[2 * side];
    return std::min(start + p.size[side], (side ? p.w : p.h) + counting) - std::max(start, -counting);
}

// What the sum of each window is divided by.
template <class T>
std::vector<T> divisors(const Windows& p, Two counting, std::optional<Index> divisor) {
    std::vector<T> all;
    for (Index row = 0; row < p.counts[0]; ++row)
        for (Index column = 0; column < p.counts[1]; ++column)
            all.push_back(T(divisor ? *divisor : counted(p, 0, counting[0], row) * counted(p, 1, counting[1], column)));
    return all;
}

// A window is longer than a row of windows: then its own rows are what vectors are made of.
bool long_windows(const Windows& p) { return p.size[1] > p.counts[1]; }

template <class T>
void average(const Windows& p, const T* x, const T* divisors, T* out) {
    p.each_plane([&](Index plane) {
        const T* const from = x + plane * p.h * p.w;
        T* const to = out + plane * p.outputs();
        std::fill_n(to, p.outputs(), T(0));
        if (long_windows(p)) {
            p.each_run([&](Index window, Index at, Index length) {
                T sum = 0;
#pragma omp simd reduction(+ : sum)
                for (Index k = 0; k < length; ++k) sum += from[at + k];
                to[window] += sum;
            });
        } else {
            for (Index row = 0; row < p.counts[0]; ++row)
                p.each_place(row, [&](Index, const Place& place) {
                    by_step(p.stride[1], [&](auto step) {
                        const T* const source = from + p.corner(row) + place.at;
                        T* const sum = to + row * p.counts[1];
                        const Index end = place.to[1];
#pragma omp simd simdlen(8)
                        for (Index k = place.from[1]; k < end; ++k) sum[k] += source[k * step];
                    });
                });
        }
        for (Index i = 0; i < p.outputs(); ++i) to[i] /= divisors[i];
    });
}

template <class T>
void average_back(const Windows& p, const T* g, const T* divisors, T* gx) {
    p.each_plane([&](Index plane) {
        T* const to = gx + plane * p.h * p.w;
        T* const share = scratch<T>(Slot::other, p.outputs());
        std::fill_n(to, p.h * p.w, T(0));
        for (Index i = 0; i < p.outputs(); ++i) share[i] = g[plane * p.outputs() + i] / divisors[i];
        if (long_windows(p))
            return p.each_run([&](Index window, Index at, Index length) {
                for (Index k = at; k < at + length; ++k) to[k] += share[window];
            });
        for (Index row = 0; row < p.counts[0]; ++row)
            p.each_place(row, [&](Index, const Place& place) {
                by_step(p.stride[1], [&](auto step) {
                    T* const target = to + p.corner(row) + place.at;
                    const T* const shares = share + row * p.counts[1];
                    const Index end = place.to[1];
#pragma omp simd simdlen(8)
                    for (Index k = place.from[1]; k < end; ++k) target[k * step] += shares[k];
                });
            });
    });
}

// The bindings.

// ValueError where a window would lie in the padding alone, or could not be at all.
Windows windows(const char* function, const Array& x, Two size, Two stride, Four padding, Two dilation, Two counts) {
    if (x.dims != 4) bad_shape(function, "x", "(N, C, H, W)", x);
    Windows p = {x.shape[0] * x.shape[1], x.shape[2], x.shape[3], size, stride, counts, padding, dilation};
    bool fits = std::min({size[0], size[1], stride[0], stride[1], dilation[0], dilation[1], counts[0], counts[1]}) > 0;
    if (fits) p.finish();
    for (int side = 0; side < 2 && fits; ++side)
        for (Index k = 0; k < counts[side] && fits; ++k)
            fits = std::any_of(p.places.begin(), p.places.end(),
                               [=](const Place& at) { return at.from[side] <= k && k < at.to[side]; });
    if (!fits) bad_shape(function, "x", "of which every window has an element", x);
    return p;
}

using Divisor = std::optional<Index>;

// The average, if there is a `counting`; else the largest.
py::tuple pool(const char* function, py::handle images, Two size, Two stride, Four padding, Two dilation, Two counts,
               std::optional<Two> counting, Divisor divisor) {
    const Array x = dense(function, "x", images);
    const Windows p = windows(function, x, size, stride, padding, dilation, counts);
    const Array out = empty(x.type, {x.shape[0], x.shape[1], counts[0], counts[1]});
    const Array kept = counting ? Array() : empty(p.places.size() < 256 ? Type::u8 : Type::i32, out.dims, out.shape);
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const Unlocked unlocked(x.size());
        if (counting) return average<T>(p, x.at<T>(), divisors<T>(p, *counting, divisor).data(), out.at<T>());
        if (kept.type == Type::u8) return largest(p, x.at<T>(), out.at<T>(), kept.at<unsigned char>());
        largest(p, x.at<T>(), out.at<T>(), kept.at<std::int32_t>());
    });
    const py::object where = counting ? py::none() : kept.owner;
    return py::make_tuple(out.owner, py::make_tuple(where, p.h, p.w, size, stride, padding, dilation, counts, counting, divisor));
}

py::list pool_vjp(const py::tuple& saved, py::handle cotangent, py::handle) {
    const char* const function = saved[0].is_none() ? "avg_pool2d_vjp" : "max_pool2d_vjp";
    const Array g = dense(function, "g", cotangent);
    const Array kept = saved[0].is_none() ? Array() : dense(function, "saved", saved[0]);
    const Two counts = saved[7].cast<Two>();
    if (g.dims != 4 || g.shape[2] != counts[0] || g.shape[3] != counts[1] || (kept.data && kept.size() != g.size()))
        bad_shape(function, "g", shape_text(4, Four{-1, -1, counts[0], counts[1]}.data()), g);
    const Array gx = empty(g.type, {g.shape[0], g.shape[1], saved[1].cast<Index>(), saved[2].cast<Index>()});
    const Windows p = windows(function, gx, saved[3].cast<Two>(), saved[4].cast<Two>(), saved[5].cast<Four>(),
                              saved[6].cast<Two>(), counts);
    const auto counting = saved[8].cast<std::optional<Two>>();
    const auto divisor = saved[9].cast<Divisor>();
    by_float(function, "g", g, [&](auto zero) {
        using T = decltype(zero);
        const Unlocked unlocked(gx.size());
        if (counting) return average_back<T>(p, g.at<T>(), divisors<T>(p, *counting, divisor).data(), gx.at<T>());
        if (kept.type == Type::u8) return largest_back(p, g.at<T>(), kept.at<unsigned char>(), gx.at<T>());
        largest_back(p, g.at<T>(), kept.at<std::int32_t>(), gx.at<T>());
    });
    py::list gradients;
    gradients.append(gx.owner);
    return gradients;
}

py::tuple max_pool2d(py::handle x, Two size, Two stride, Four padding, Two dilation, Two counts) {
    return pool("max_pool2d", x, size, stride, padding, dilation, counts, {}, {});
}

py::tuple avg_pool2d(py::handle x, Two size, Two stride, Four padding, Two counts, Two counting, Divisor divisor) {
    return pool("avg_pool2d", x, size, stride, padding, {1, 1}, counts, counting, divisor);
}

}  // namespace

void bind_pooling(py::module_& module) {
    using py::arg;
    module.def("max_pool2d", &max_pool2d, arg("x"), py::kw_only(), arg("kernel_size"), arg("stride"), arg("padding"),
               arg("dilation"), arg("counts"), "See tinygrad_edu.nn.pooling.");
    module.def("avg_pool2d", &avg_pool2d, arg("x"), py::kw_only(), arg("kernel_size"), arg("stride"), arg("padding"),
               arg("counts"), arg("counting"), arg("divisor"), "See tinygrad_edu.nn.pooling.");
    for (const char* name : {"max_pool2d_vjp", "avg_pool2d_vjp"})
        module.def(name, &pool_vjp, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace tg
