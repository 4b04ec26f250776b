// How the losses of single elements, or of rows, become the loss.
#pragma once

#include "array.hpp"

namespace tg {

enum class Reduction { none, mean, sum };

// 'none', 'mean' or 'sum'; ValueError for another text.
Reduction reduction_of(const char* function, const std::string& text);

}  // namespace tg
