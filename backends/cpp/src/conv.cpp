// Convolution: forward, and its gradients with respect to image, weight and bias; see lookup.hpp for the product.
//
//     forward   out[o][pixel]  = sum over (c, i, j)  of  w[o][c, i, j] * x at (pixel's corner) + (c, i, j)
//     backward  gx[c][pixel]   = sum over (o, i, j)  of  w[o, i, j][c] * g at (pixel) - (i, j), in plane o
//               gw[o][c, i, j] = sum over pixels     of  g[o][pixel]   * x at (c, i, j) + (pixel's corner)
//
// The first two are the same with another `Plan`, which says what is read where and what is written where. Pixels are
// sorted by the places (i, j) of the kernel at which they read something: near an edge some reach only padding, and with
// a stride s a gradient's pixels fall into s x s kinds, each of which meets some of the places. So every kind of pixels is
// a product of its own, a `Region`, and nothing is multiplied by the zeros of padding or between strides.
//
// There are two ways to make the sums. With the channels that come out in the lanes of vectors, pixels may lie anywhere:
// everything is read where it lies, and the results are transposed, in registers, on their way to memory. With pixels in
// the lanes they are not, and few channels waste no lanes (a depthwise convolution has groups of one), but strides are 1,
// rows at least as long as a vector, and images are copied first, with the padding's zeros around them.
//
// The work is cut into units, some rows of an image or several small images. Units depend on the shapes alone, and so do
// all sums: any number of threads gives the same bits. conv_transpose2d is the same three sums with forward and backward
// exchanged.

#include <pybind11/stl.h>

#include "lookup.hpp"
#include "memory.hpp"
#include "subjects.hpp"
#include "tile.hpp"

namespace tg {
namespace {

constexpr Index kUnitPixels = 1024;    // at most, of a unit: its numbers stay in the second cache
constexpr Index kParts = 8;            // units at least, where there are so many images or rows; parts of a sum over all
constexpr double kWorthThreads = 1e6;  // multiply-adds: some ten microseconds
constexpr Index kTogether = 8;         // channels whose planes are summed together: they lie side by side

struct Geometry {
    Index images, groups, in, out;  // `in` and `out` channels of one group
    Two image, grid, kernel;        // sizes: of an image, of the grid of windows, of the kernel
    Two stride, before, dilation;   // `before`: the padding there
    Index places() const { return kernel[0] * kernel[1]; }
    Index weights() const { return out * in * places(); }  // of a group
    double work() const { return double(images) * groups * weights() * grid[0] * grid[1]; }
    std::array<Index, 4> shape(bool of_images) const {  // of the images, or of the grids of windows
        const Two size = of_images ? image : grid;
        return {images, groups * (of_images ? in : out), size[0], size[1]};
    }
};

// Points of a side (pixels written, seen along rows or columns) that read at the same places of the kernel: where the
// first place reads, and which pixel it is; and for each place how far from there it reads, and which one it is.
struct Kind {
    std::vector<Link> points, places;
};

// One side of a plan. Pixel `to` reads, at place i, pixel (to * step + origin + i * spread) / divide, if there is one.
struct Side {
    Index size, to_size, kernel, step, origin, spread, divide;

    std::vector<Kind> kinds() const {
        std::vector<Kind> all;
        for (Index to = 0; to < to_size; ++to) {
            std::vector<Link> places;
            for (Index i = 0; i < kernel; ++i) {
                const Index from = to * step + origin + i * spread;
                if (from >= 0 && from < size * divide && from % divide == 0) places.push_back({from / divide, i});
            }
            const Index first = places.empty() ? 0 : places[0].from;
            for (Link& place : places) place.from -= first;
            auto same = std::find_if(all.begin(), all.end(), [&](const Kind& kind) { return kind.places == places; });
            if (same == all.end()) same = all.insert(same, {{}, places});
            same->points.push_back({first, to});
        }
        return all;
    }
    // What is read without a step, padding included: from pixel `low` on, `reach` more than is written.
    Index low() const { return origin + std::min<Index>(0, spread * (kernel - 1)); }
    Index reach() const { return std::abs(spread) * (kernel - 1); }
};

// Pixels of the same kind both ways, and (c, i, j) that they read: how far from the first, and the place in the weight.
struct Region {
    Kind y, x;
    std::vector<Link> places;
};

// Some rows of an image, `begin` to `end`, or of several small ones: what is written in one go. Without steps, what that
// reads of each image, padding included, is `height` rows of `pitch` pixels from (top, left) on.
struct Unit {
    Index image, images, begin, end, top, left, height, pitch;
    Index rows() const { return end - begin; }

    // Copies that, of `count` planes.
    template <class T>
    void copy(const T* planes, Index count, Two size, T* to) const {
        const Index first = std::clamp<Index>(-left, 0, pitch), last = std::clamp<Index>(size[1] - left, first, pitch);
        std::fill(to, to + count * height * pitch, T(0));
        for (Index plane = 0; plane < count; ++plane)
            for (Index y = top; y < top + height; ++y, to += pitch) {
                const T* const row = planes + (plane * size[0] + y) * size[1] + left;
                if (y >= 0 && y < size[0]) std::copy(row + first, row + last, to + first);
            }
    }
};

// What is read of images (channels, y.size, x.size) and written to images (lanes, y.to_size, x.to_size).
struct Plan {
    Side y, x;
    Index images, channels, channel_step, lanes, lane_step;  // the steps are the weight's
    bool half;                                               // lanes are so few that half a vector holds them
    Index width;                                             // lanes, filled up to whole vectors
    std::vector<Link> columns;                               // a vector of lanes each
    std::vector<Region> regions;
    double terms = 0;                                        // a pixel's, on average
    Index groups, together, piece, pieces;                   // a unit: so many images, or so many rows; pieces of an image

    // Window Y reads pixel y at place i if y = Y s - before + i d: backward, y gets from Y = (y + before - i d) / s.
    Plan(const Geometry& k, bool backward, Index vector) : images(k.images), groups(k.groups) {
        for (int i = 0; i < 2; ++i)
            (i ? x : y) = backward ? Side{k.grid[i], k.image[i], k.kernel[i], 1, k.before[i], -k.dilation[i], k.stride[i]}
                                   : Side{k.image[i], k.grid[i], k.kernel[i], k.stride[i], -k.before[i], k.dilation[i], 1};
        channels = backward ? k.out : k.in, channel_step = (backward ? k.in : 1) * k.places();
        lanes = backward ? k.in : k.out, lane_step = (backward ? 1 : k.in) * k.places();
        half = kVectorBytes == 64 && 2 * lanes <= vector;  // (many processors multiply the two halves one by one)
        if (half) vector /= 2;
        width = (lanes + vector - 1) / vector * vector;
        for (Index at = 0; at < width; at += vector) columns.push_back({at, at});
        const std::vector<Kind> down = y.kinds(), across = x.kinds();
        for (const Kind& p : down)
            for (const Kind& q : across) {
                std::vector<Link> places;
                for (Index c = 0; c < channels; ++c)
                    for (const Link i : p.places)
                        for (const Link j : q.places)
                            places.push_back({c * from_plane() + i.from * x.size + j.from,
                                              ((c * y.kernel + i.at) * x.kernel + j.at) * width});
                terms += double(p.points.size() * q.points.size() * places.size()) / double(to_plane());
                regions.push_back({p, q, std::move(places)});
            }
        const Index share = std::max<Index>(1, images / kParts), fit = std::max<Index>(1, kUnitPixels / x.to_size);
        together = std::clamp<Index>(fit / y.to_size, 1, share);
        piece = std::min(fit, y.to_size);
        pieces = (y.to_size + piece - 1) / piece;
    }
    Index from_plane() const { return y.size * x.size; }
    Index to_plane() const { return y.to_size * x.to_size; }
    Index depth() const { return channels * y.kernel * x.kernel; }
    bool without_steps() const { return y.step * y.divide * x.step * x.divide == 1; }
    Index units() const { return (images + together - 1) / together * pieces; }
    Unit unit(Index i) const {
        const Index image = i / pieces * together, begin = i % pieces * piece, end = std::min(begin + piece, y.to_size);
        return {image, std::min(together, images - image), begin, end, begin + y.low(), x.low(), end - begin + y.reach(),
                x.to_size + x.reach()};
    }
    // Unit i's part of `images`, each of `size` numbers, where it is one piece: to be fetched while sums of so many rows and
    // vectors are being made.
    template <class T>
    Ahead expect(Index i, const T* images, Index size, Index rows, Index vectors) const {
        if (i >= units() || pieces * groups > 1) return {};
        const auto [begin, end] = std::pair(images + unit(i).image * size, images + (unit(i).image + unit(i).images) * size);
        const Index bytes = (end - begin) * sizeof(T), tiles = rows * vectors / (kTileRows * kTileVectors) + 1;
        return {reinterpret_cast<const char*>(begin), reinterpret_cast<const char*>(end), (bytes / tiles / 64 + 1) * 64};
    }
    // A unit's pixels of a region: where they read, `image_step` being from image to image, and which pixels of the unit
    // they are. Returns the end.
    Link* points(const Unit& unit, const Region& region, Index image_step, Link* to) const {
        for (Index image = 0; image < unit.images; ++image)
            for (const Link p : region.y.points)
                for (const Link q : region.x.points)
                    if (p.at >= unit.begin && p.at < unit.end)
                        *to++ = {image * image_step + p.from * x.size + q.from,
                                 ((image * unit.rows() + p.at - unit.begin) * x.to_size + q.at) * width};
        return to;
    }
    // Without steps: for each (c, i, j) where it is in the weight, and in the unit's copy. Returns the end.
    Link* places(const Unit& unit, Link* to) const {
        for (Index c = 0; c < channels; ++c)
            for (Index i = 0; i < y.kernel; ++i)
                for (Index j = 0; j < x.kernel; ++j) {
                    const Index row = c * unit.height + y.origin + i * y.spread - y.low();
                    *to++ = {c * channel_step + i * x.kernel + j, row * unit.pitch + x.origin + j * x.spread - x.low()};
                }
        return to;
    }
};

// to[i][lane] = from[lane][i], and 0 in the lanes that fill up the last vector.
template <class T>
void into_lanes(const Plan& p, const T* from, Index from_row, Index count, T* to) {
    if (p.lanes < p.width) std::fill(to, to + count * p.width, T(0));
    transpose(from, from_row, p.lanes, count, to, p.width);
}

// The sums of a region, channels in the lanes.
template <class T>
void lookup_lanes(const Plan& p, const Lookup<T>& sums) {
    (p.half ? &lookup<kLanes<T> / 2, T> : &lookup<kLanes<T>, T>)(sums);
}

template <class T>
void channels_in_lanes(const Plan& p, const Geometry& k, const T* from, const T* weight, const T* bias, T* out) {
    const Index depth = p.depth(), width = p.width, plane = p.to_plane();
    const Index image_step = k.groups * p.channels * p.from_plane();
    const Index lump = p.channel_step == k.places() ? depth : k.places();  // of the weight's numbers, side by side
    T* const packed = scratch<T>(Slot::conv_a, k.groups * depth * width);
    parallel_if(double(depth) * width * k.groups >= kWorthThreads, k.groups * (depth / lump), [&](Index i) {
        const Index group = i / (depth / lump), first = i % (depth / lump) * lump;
        into_lanes(p, weight + group * k.weights() + first / k.places() * p.channel_step, p.lane_step, lump,
                   packed + (group * depth + first) * width);
    });
    parallel_if(k.work() >= kWorthThreads, p.units(), [&](Index i) {
        const Unit unit = p.unit(i);
        const Index pixels = unit.rows() * p.x.to_size;
        T* const c = scratch<T>(Slot::conv_b, unit.images * pixels * width);
        const Index all = unit.images * pixels, vectors = p.columns.size();
        Ahead ahead[] = {p.expect(i + threads(), from, p.channels * p.from_plane(), all, vectors),
                         p.expect(i, out, p.lanes * plane, all, vectors)};
        Link* const rows = scratch<Link>(Slot::other, unit.images * pixels);
        for (Index group = 0; group < k.groups; ++group) {
            const T* const images = from + (unit.image * k.groups + group) * p.channels * p.from_plane();
            for (const Region& region : p.regions)
                lookup_lanes<T>(p, {images, rows, p.points(unit, region, image_step, rows) - rows, region.places.data(),
                                    Index(region.places.size()), packed + group * depth * width, p.columns.data(),
                                    vectors, c, false, ahead});
            for (Index image = 0; image < unit.images; ++image) {
                T* to = out + ((unit.image + image) * k.groups + group) * p.lanes * plane + unit.begin * p.x.to_size;
                transpose(c + image * pixels * width, width, pixels, p.lanes, to, plane);
                for (Index lane = 0; bias && lane < p.lanes; ++lane, to += plane)
                    for (Index pixel = 0; pixel < pixels; ++pixel) to[pixel] += bias[group * p.lanes + lane];
            }
        }
    });
}

template <class T>
void pixels_in_lanes(const Plan& p, const Geometry& k, const T* from, const T* weight, const T* bias, T* out) {
    parallel_if(k.work() >= kWorthThreads, p.units(), [&](Index i) {
        const Unit unit = p.unit(i);
        const Index vectors = unit.rows() * padded<T>(p.x.to_size) / kLanes<T>;
        Link* const terms = scratch<Link>(Slot::other, p.depth() + p.lanes + vectors);
        Link *const rows = p.places(unit, terms), *const columns = rows + p.lanes, *column = columns;
        for (Index lane = 0; lane < p.lanes; ++lane) rows[lane] = {lane * p.lane_step, lane * p.to_plane()};
        for (Index y = 0; y < unit.rows(); ++y)
            for (Index x = 0; x < p.x.to_size; x += kLanes<T>) {
                const Index start = std::min(x, p.x.to_size - kLanes<T>);  // the last vector of a row ends with it
                *column++ = {y * unit.pitch + start, (unit.begin + y) * p.x.to_size + start};
            }
        T* const copy = scratch<T>(Slot::conv_b, p.channels * unit.height * unit.pitch);
        Ahead ahead[] = {p.expect(i + threads(), from, p.channels * p.from_plane(), unit.images * p.lanes, vectors),
                         p.expect(i, out, p.lanes * p.to_plane(), unit.images * p.lanes, vectors)};
        for (Index part = 0; part < unit.images * k.groups; ++part) {
            const Index group = part % k.groups, image = unit.image * k.groups + part;
            unit.copy(from + image * p.channels * p.from_plane(), p.channels, {p.y.size, p.x.size}, copy);
            lookup<kLanes<T>, T>({weight + group * k.weights(), rows, p.lanes, terms, p.depth(), copy, columns, vectors,
                                   out + image * p.lanes * p.to_plane(), false, ahead,
                                   bias ? bias + group * p.lanes : nullptr});
        }
    });
}

template <class T>
void run(const Geometry& k, bool backward, const T* from, const T* weight, const T* bias, T* out) {
    const Plan p(k, backward, kLanes<T>);
    // Multiply-adds a pixel, in numbers. A transposition takes as long as some 8 terms, a copy as some 4.
    const double left = (p.terms + 8) * double(p.width);
    const double right = (p.depth() + 4.0) * p.lanes * padded<T>(p.x.to_size) / p.x.to_size;
    const bool pixels = p.without_steps() && p.x.to_size >= kLanes<T> && right < left;
    (pixels ? pixels_in_lanes<T> : channels_in_lanes<T>)(p, k, from, weight, bias, out);
}

// The sum of products of the numbers in two blocks: rows of a lie so far apart, those of b side by side.
template <class T>
T dot(const T* a, Index a_row, const T* b, Index columns, Index rows) {
    Vec<T> sum{};
    for (Index y = 0; y < rows; ++y, a += a_row, b += columns) {
        Index x = 0;
        for (; x + kLanes<T> <= columns; x += kLanes<T>) sum += load(a + x) * load(b + x);
        if (x < columns) sum += load_first(a + x, columns - x, T(0)) * load_first(b + x, columns - x, T(0));
    }
    return fold_lanes<T>(sum, add);
}

// The weight's gradient: sums over all units, made in a few parts. Channels are in the lanes; but one or two would leave
// most lanes empty, so then pixels are.
template <class T>
void backward_weight(const Geometry& k, const T* x, const T* g, T* gw) {
    const Plan p(k, false, kLanes<T>);
    const Index depth = p.depth(), width = p.width, plane = p.to_plane(), from_plane = p.from_plane();
    const Index image_step = k.groups * k.in * from_plane, columns = k.grid[1];
    const Index units = p.units(), parts = std::clamp<Index>(units, 1, kParts), size = k.groups * depth * width;
    const bool few = p.without_steps() && 8 * p.lanes <= kLanes<T>;
    T* const sums = scratch<T>(Slot::conv_a, parts * size);
    std::fill(sums, sums + parts * size, T(0));
    parallel_if(k.work() >= kWorthThreads, parts, [&](Index part) {
        for (Index i = part * units / parts; i < (part + 1) * units / parts; ++i) {
            const Unit unit = p.unit(i);
            const Index pixels = unit.rows() * columns;
            Link* const links = scratch<Link>(Slot::other, few ? depth : unit.images * pixels);
            T* const copy = scratch<T>(Slot::conv_b, few ? k.in * unit.height * unit.pitch : unit.images * pixels * width);
            if (few) p.places(unit, links);
            for (Index group = 0; group < k.groups; ++group) {
                const T* const from = x + (unit.image * k.groups + group) * k.in * from_plane;
                T* const sum = sums + part * size + group * depth * width;
                for (Index image = 0; image < unit.images; ++image) {
                    const T* const to = g + ((unit.image + image) * k.groups + group) * k.out * plane + unit.begin * columns;
                    if (few) unit.copy(from + image * image_step, k.in, k.image, copy);
                    else into_lanes(p, to, plane, pixels, copy + image * pixels * width);
                    for (Index o = 0; few && o < k.out; ++o)
                        for (Index r = 0; r < depth; ++r)
                            sum[r * width + o] += dot(copy + links[r].at, unit.pitch, to + o * plane, columns, unit.rows());
                }
                if (few) continue;
                Ahead ahead[] = {p.expect(i + 1, x, k.in * from_plane, depth, p.columns.size()),
                                 p.expect(i + 1, g, k.out * plane, depth, p.columns.size())};
                for (const Region& region : p.regions)
                    lookup_lanes<T>(p, {from, region.places.data(), Index(region.places.size()), links,
                                        p.points(unit, region, image_step, links) - links, copy, p.columns.data(),
                                        Index(p.columns.size()), sum, true, ahead});
            }
        }
    });
    for (Index part = 1; part < parts; ++part)
        for (Index i = 0; i < size; ++i) sums[i] += sums[part * size + i];
    for (Index group = 0; group < k.groups; ++group)
        transpose(sums + group * depth * width, width, depth, k.out, gw + group * k.weights(), depth);
}

// The bias's gradient: the sums of all planes of a channel.
template <class T>
void backward_bias(const Array& g, T* gb) {
    const Index images = g.shape[0], channels = g.shape[1], plane = g.shape[2] * g.shape[3];
    const Index blocks = (channels + kTogether - 1) / kTogether;
    parallel_if(double(images) * channels * plane >= kWorthThreads, blocks, [&](Index block) {
        const Index begin = block * kTogether, end = std::min(begin + kTogether, channels);
        std::fill(gb + begin, gb + end, T(0));
        for (Index image = 0; image < images; ++image)
            for (Index c = begin; c < end; ++c)
                gb[c] += fold_row(g.at<T>() + (image * channels + c) * plane, plane, T(0), add);
    });
}

// The bindings. `Transposed`: conv_transpose2d, whose argument is the grid and whose result the images.

// The geometry of a convolution. ValueError if the arguments do not fit each other.
Geometry geometry(const char* function, bool transposed, const Array& x, const Array& weight, const Array& bias, Two stride,
                  Four padding, Two dilation, Index groups) {
    const Index *const sw = weight.shape, least = *std::min_element(sw + 2, sw + 4);
    if (std::min({stride[0], stride[1], dilation[0], dilation[1], groups, least, padding[0] + 1, padding[2] + 1}) < 1)
        throw py::value_error(std::string(function) + ": expected stride, dilation, groups and kernel >= 1, padding >= 0");
    const Index channels = transposed ? sw[0] : sw[1] * groups, lanes = transposed ? sw[1] * groups : sw[0];
    if (x.shape[1] != channels || sw[0] % groups)
        bad_shape(function, "x", shape_text(4, Four{-1, channels, -1, -1}.data()), x);
    if (bias.data && bias.size() != lanes) bad_shape(function, "bias", shape_text(1, &lanes), bias);
    Two images = {x.shape[2], x.shape[3]}, grid = images;
    for (int i = 0; i < 2; ++i) {
        const Index span = dilation[i] * (sw[2 + i] - 1) + 1 - padding[2 * i] - padding[2 * i + 1];
        if (transposed)
            images[i] = (grid[i] - 1) * stride[i] + span;
        else
            grid[i] = images[i] < span ? 0 : (images[i] - span) / stride[i] + 1;
        if (std::min(images[i], grid[i]) < 1) bad_shape(function, "x", "that the kernel fits into", x);
    }
    return {x.shape[0], groups, sw[1], sw[0] / groups, images, grid, {sw[2], sw[3]}, stride, {padding[0], padding[2]},
            dilation};
}

template <bool Transposed>
py::tuple convolve(py::handle input, py::handle weights, py::handle shift, Two stride, Four padding, Two dilation,
                   Index groups) {
    const char* const function = Transposed ? "conv_transpose2d" : "conv2d";
    const Array x = dense(function, "x", input);
    const Type type = by_float(function, "x", x, [&](auto) { return x.type; });
    if (x.dims != 4) bad_shape(function, "x", "(N, C, H, W)", x);
    const Array weight = dense(function, "weight", weights, type, {-1, -1, -1, -1});
    const Array bias = optional(function, "bias", shift, type, {-1});
    const Geometry k = geometry(function, Transposed, x, weight, bias, stride, padding, dilation, groups);
    const Array out = empty(type, 4, k.shape(Transposed).data());
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        run<T>(k, Transposed, x.at<T>(), weight.at<T>(), bias.at<T>(), out.at<T>());
    }, static_cast<Index>(k.work()));
    return py::make_tuple(out.owner, py::make_tuple(x.owner, weight.owner, stride, padding, dilation, groups));
}

template <bool Transposed>
py::list convolve_vjp(const py::tuple& saved, py::handle cotangent, const py::tuple& needs) {
    const char* const function = Transposed ? "conv_transpose2d_vjp" : "conv2d_vjp";
    const Array x = dense(function, "x", saved[0]), weight = dense(function, "weight", saved[1]);
    const Geometry k = geometry(function, Transposed, x, weight, {}, saved[2].cast<Two>(), saved[3].cast<Four>(),
                                saved[4].cast<Two>(), saved[5].cast<Index>());
    const auto [images, channels, height, width] = k.shape(Transposed);
    const Array g = dense(function, "g", cotangent, x.type, {images, channels, height, width});
    const Array gx = wanted(needs, 0) ? empty_like(x) : Array(), gw = wanted(needs, 1) ? empty_like(weight) : Array();
    const Array gb = wanted(needs, 2) ? empty(x.type, {channels}) : Array();
    by_float(function, "x", x, [&](auto zero) {
        using T = decltype(zero);
        const T *const image = (Transposed ? g : x).template at<T>(), *const grid = (Transposed ? x : g).template at<T>();
        if (gx.data) run<T>(k, !Transposed, g.at<T>(), weight.at<T>(), nullptr, gx.at<T>());
        if (gw.data) backward_weight<T>(k, image, grid, gw.at<T>());
        if (gb.data) backward_bias(g, gb.at<T>());
    }, static_cast<Index>(k.work()));
    return gradients(needs, {gx, gw, gb});
}

template <bool Transposed>
void bind(py::module_& module, const std::string& name) {
    using py::arg;
    module.def(name.c_str(), &convolve<Transposed>, arg("x"), arg("weight"), arg("bias") = py::none(), py::kw_only(),
               arg("stride"), arg("padding"), arg("dilation"), arg("groups"), "See tinygrad_edu.nn.convolution.");
    module.def((name + "_vjp").c_str(), &convolve_vjp<Transposed>, arg("saved"), arg("g"), arg("needs"));
}

}  // namespace

void bind_convolutions(py::module_& module) {
    bind<false>(module, "conv2d");
    bind<true>(module, "conv_transpose2d");
}

}  // namespace tg
