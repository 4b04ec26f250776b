// What this machine can do at best: the two numbers that a roofline (Williams, Waterman and Patterson, 2009) is drawn from.
//
// `peak` counts the multiply-adds of a loop that touches no memory: enough sums that do not wait for each other keep
// every multiplier busy in every cycle. `bandwidth` copies an array too large for any cache. Both run on all threads at
// once, since cores share their power and their memory, and both report the best of some trials: whatever else ran on
// the machine can only have made a trial slower.

#include <chrono>
#include <cstring>

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

namespace tg {
namespace {

// Seconds of the quickest of `trials` calls.
template <class F>
double quickest(int trials, const F& f) {
    double best = 1e9;
    for (int i = 0; i < trials; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        f();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
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
    return 1e-9 * operations / quickest(9, [&] { parallel(team, [](Index) { multiply_add<T>(kSteps); }); });
}

double peak(const std::string& dtype) {
    if (dtype != "float32" && dtype != "float64")
        throw py::value_error("peak: expected float32 or float64, got " + dtype);
    py::gil_scoped_release release;
    return dtype == "float32" ? peak_of<float>() : peak_of<double>();
}

double bandwidth() {
    constexpr std::size_t kBytes = std::size_t(1) << 26, kPart = std::size_t(1) << 20;  // 64 MB, a megabyte at a time
    py::gil_scoped_release unlocked;
    char *const from = static_cast<char*>(acquire(kBytes)), *const to = static_cast<char*>(acquire(kBytes));
    std::memset(from, 1, kBytes);
    std::memset(to, 1, kBytes);
    const double seconds = quickest(9, [&] {
        parallel(kBytes / kPart, [&](Index i) { std::memcpy(to + std::size_t(i) * kPart, from + std::size_t(i) * kPart, kPart); });
    });
    release(from, kBytes);
    release(to, kBytes);
    return 1e-9 * 2 * static_cast<double>(kBytes) / seconds;
}

}  // namespace

void bind_peak(py::module_& module) {
    module.def("peak", &peak, py::arg("dtype") = "float32", "GFLOP/s of multiply-adds in registers, on all threads at once.");
    module.def("bandwidth", &bandwidth, "GB/s read and written by a copy of 64 MB, on all threads at once.");
}

}  // namespace tg
