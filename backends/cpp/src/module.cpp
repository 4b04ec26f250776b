// One extension module for each instruction set: `_baseline`, `_avx2`, `_avx512`, all from the same sources.
//
// A function of the module that is called like a primitive of `tinygrad_edu.backend.Backend`, like a fused op
// (`linear` and `linear_vjp`) or like an optimizer's step is what the C++ backend offers for it; what the module lacks,
// the backend inherits from NumPy's. Everything that crosses from Python to C++ is declared in a `bind_…` function.

#include "subjects.hpp"

PYBIND11_MODULE(TINYGRAD_EDU_MODULE, module) {
    module.doc() = "Kernels of the cpp backend, compiled for one instruction set.";
#define TG_BIND(subject) tg::bind_##subject(module);
    TG_SUBJECTS(TG_BIND)
}
