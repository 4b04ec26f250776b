// What the processor can do, and how the kernels were built: the extension module `_cpu`.
//
// The kernels are compiled once for each instruction set, as modules of their own (`_baseline`, `_avx2`, `_avx512`)
// from the very same sources. Importing one whose instructions the processor lacks would end in "Illegal instruction",
// so this module, compiled for any x86-64 or ARM processor, answers first. See `backends/cpp/__init__.py`.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

namespace {

// Compiler and language standard that this module was built with, e.g. "g++ 12.2.0, C++17".
std::string build_info() {
    return "g++ " __VERSION__ ", C++" + std::to_string(__cplusplus / 100 % 100);
}

// The instruction sets that this processor and its operating system support, the slowest first.
std::vector<std::string> supported() {
    std::vector<std::string> found = {"baseline"};
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) found.push_back("avx2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        found.push_back("avx512");
#endif
    return found;
}

}  // namespace

PYBIND11_MODULE(_cpu, module) {
    module.doc() = "Which instruction sets there are here.";
    module.def("build_info", &build_info, "Compiler and C++ standard that the kernels were built with.");
    module.def("supported", &supported, "The instruction sets of this processor, the slowest first.");
}
