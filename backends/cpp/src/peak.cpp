// What this machine can do at best: the two numbers that a roofline (Williams, Waterman and Patterson, 2009) is drawn from.
//
// `peak` counts the multiply-adds of a loop that touches no memory: enough sums that do not wait for each other keep
// every multiplier busy in every cycle. `bandwidth` copies an array too large for any cache. Both run on all threads at
// once, since cores share their power and their memory. `read_bandwidth` is one thread's, from the cache that an array
// fits into, for the roofs between the two. All report the best of some trials: whatever else ran on the machine can only
// have made a trial slower.

#include <chrono>

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

// Seconds of the quickest call, of as many as fit into so many seconds.
template <class F>
double quickest(double seconds, const F& f) {
    double best = 1e9;
    for (double all = 0, took; all < seconds; all += took, best = std::min(best, took)) {
        const auto begin = std::chrono::steady_clock::now();
        f();
        took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    return best;
}

// So many sums that 2 multiply-adds of 4 or 5 cycles can begin in each cycle, and so few that registers hold them.
constexpr int kSums = 10;

// Multiplies and adds kSums vectors `steps` times; the results are of no interest, but the compiler may not know.
template <class T>
void multiply_add(Index steps) {
    Vec<T> sums[kSums] = {}, x = broadcast(T(0.5)), y = x;
    asm volatile("" : "+m"(x), "+m"(y));
    for (Index i = 0; i < steps; ++i)
#pragma GCC unroll 10
        for (int s = 0; s < kSums; ++s) sums[s] = sums[s] * x + y;
    for (int s = 1; s < kSums; ++s) sums[0] += sums[s];
    asm volatile("" : : "m"(sums[0]));
}

template <class T>
double peak_of() {
    constexpr Index kSteps = 1'000'000;  // some 10 ms
    const Index team = threads();
    const double operations = 2.0 * kSums * kLanes<T> * kSteps * static_cast<double>(team);
    return 1e-9 * operations / quickest(0.1, [&] { parallel(team, [](Index) { multiply_add<T>(kSteps); }); });
}

double peak(const std::string& dtype) {
    if (dtype != "float32" && dtype != "float64")
        throw py::value_error("peak: expected float32 or float64, got " + dtype);
    py::gil_scoped_release release;
    return dtype == "float32" ? peak_of<float>() : peak_of<double>();
}

double bandwidth() {
    constexpr Index kBytes = 1 << 26, kPart = 1 << 20;  // 64 MB, a megabyte at a time
    const Array from = empty(Type::u8, {kBytes}), to = empty(Type::u8, {kBytes});
    const py::gil_scoped_release unlocked;
    std::memset(from.data, 1, kBytes);
    std::memset(to.data, 1, kBytes);
    const double seconds = quickest(0.1, [&] {
        parallel(kBytes / kPart, [&](Index i) { std::memcpy(to.data + i * kPart, from.data + i * kPart, kPart); });
    });
    return 1e-9 * 2 * static_cast<double>(kBytes) / seconds;
}

// Bytes a second that one thread reads from an array that it goes over again and again, 4 MB at least in a trial. Eight
// sums at once, so that none waits, from whole cache lines; the empty asm, which might change the address for all that
// the compiler knows, makes each pass read anew.
double read_bandwidth(py::handle array, double seconds) {
    const Array x = dense("read_bandwidth", "array", array, Type::f32, {-1});
    constexpr Index kStep = 8 * kLanes<float>;
    const float* from = x.at<float>();
    Index end = x.size();
    for (; end > 0 && reinterpret_cast<std::uintptr_t>(from) % kAlignment; ++from) --end;
    end -= end % kStep;
    if (end == 0) bad_shape("read_bandwidth", "array", "at least " + std::to_string(2 * kStep) + " numbers", x);
    const Index passes = std::max<Index>(1, (1 << 20) / end);
    const Unlocked unlocked(end * passes);
    const double best = quickest(seconds, [&] {
        Vec<float> sums[8] = {};
        for (Index pass = 0; pass < passes; ++pass) {
            asm volatile("" : "+r"(from));
            for (Index i = 0; i < end; i += kStep)
#pragma GCC unroll 8
                for (int v = 0; v < 8; ++v) sums[v] += load(from + i + v * kLanes<float>);
        }
        for (const Vec<float>& sum : sums) asm volatile("" : : "m"(sum));
    });
    return static_cast<double>(end * passes) * sizeof(float) / best;
}

}  // namespace

void bind_peak(py::module_& module) {
    module.def("peak", &peak, py::arg("dtype") = "float32", "GFLOP/s of multiply-adds in registers, on all threads at once.");
    module.def("bandwidth", &bandwidth, "GB/s read and written by a copy of 64 MB, on all threads at once.");
    module.def("read_bandwidth", &read_bandwidth, py::arg("array"), py::arg("seconds"),
               "Bytes a second that one thread reads from a float32 array, again and again for so many seconds.");
}

}  // namespace tg
