// The subjects of the C++ backend: each file of kernels declares its functions to Python in a `bind_…` of its own.
#pragma once

#include "array.hpp"

#define TG_SUBJECTS(each)                                                                                         \
    each(activations) each(arrays) each(attention) each(batch_norm) each(convolutions) each(elementwise)          \
    each(index) each(ladder) each(layer_norm) each(losses) each(optimizers) each(peak) each(pooling) each(products) \
    each(random) each(recurrent) each(reductions) each(softmax)

namespace tg {
#define TG_DECLARE(subject) void bind_##subject(py::module_& module);
TG_SUBJECTS(TG_DECLARE)
#undef TG_DECLARE
}  // namespace tg
