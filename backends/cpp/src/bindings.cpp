// The C++ side of `--backend cpp`, as Python sees it: one extension module, `_kernels`.
//
// So far it only tells how it was built, which is what `tinygrad-edu doctor` prints; the kernels come with the C++
// backend. Everything that crosses from Python to C++ is declared in this file and nowhere else.

#include <pybind11/pybind11.h>

#include <string>

namespace {

// Compiler and language standard that this module was built with, e.g. "g++ 12.2.0, C++17".
std::string build_info() {
#if defined(__clang__)
    const std::string compiler = "clang++ " __clang_version__;
#else
    const std::string compiler = "g++ " __VERSION__;
#endif
    return compiler + ", C++" + std::to_string(__cplusplus / 100 % 100);
}

}  // namespace

PYBIND11_MODULE(_kernels, module) {
    module.doc() = "Compiled kernels of the cpp backend.";
    module.def("build_info", &build_info, "Compiler and C++ standard that this module was built with.");
}
