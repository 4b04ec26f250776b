// One extension module for each instruction set: `_baseline`, `_avx2`, `_avx512`, all from the same sources.
//
// A function of the module that is called like a primitive of `tinygrad_edu.backend.Backend`, like a fused op
// (`linear` and `linear_vjp`) or like an optimizer's step is what the C++ backend offers for it; what the module lacks,
// the backend inherits from NumPy's. Everything that crosses from Python to C++ is declared in a `bind_…` function.

#include "subjects.hpp"

PYBIND11_MODULE(TINYGRAD_EDU_MODULE, module) {
    module.doc() = "Kernels of the cpp backend, compiled for one instruction set.";
    tg::bind_activations(module);
    tg::bind_arrays(module);
    tg::bind_attention(module);
    tg::bind_batch_norm(module);
    tg::bind_convolutions(module);
    tg::bind_elementwise(module);
    tg::bind_index(module);
    tg::bind_layer_norm(module);
    tg::bind_recurrent(module);
    tg::bind_ladder(module);
    tg::bind_optimizers(module);
    tg::bind_pooling(module);
    tg::bind_random(module);
    tg::bind_reductions(module);
    tg::bind_products(module);
    tg::bind_peak(module);
    tg::bind_losses(module);
    tg::bind_softmax(module);
}
