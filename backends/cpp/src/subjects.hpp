// The subjects of the C++ backend: each file of kernels declares its functions to Python in a `bind_…` of its own.
#pragma once

#include "array.hpp"

namespace tg {

void bind_activations(py::module_& module);
void bind_arrays(py::module_& module);
void bind_attention(py::module_& module);
void bind_batch_norm(py::module_& module);
void bind_convolutions(py::module_& module);
void bind_elementwise(py::module_& module);
void bind_index(py::module_& module);
void bind_layer_norm(py::module_& module);
void bind_recurrent(py::module_& module);
void bind_ladder(py::module_& module);
void bind_layer_norm(py::module_& module);
void bind_optimizers(py::module_& module);
void bind_pooling(py::module_& module);
void bind_random(py::module_& module);
void bind_reductions(py::module_& module);
void bind_products(py::module_& module);
void bind_peak(py::module_& module);
void bind_losses(py::module_& module);
void bind_softmax(py::module_& module);

}  // namespace tg
