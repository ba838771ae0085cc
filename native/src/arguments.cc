#include "arguments.h"

#include "matrix.h"

namespace ossia {

bool is_weight(const ossia_weight* weight) {
  if (weight == nullptr || weight->values == nullptr) return false;
  if (weight->experts < 1 || weight->rows < 1 || weight->columns < 1) return false;
  if (weight->dtype == OSSIA_MXFP4) return weight->scales != nullptr && weight->columns % kBlock == 0;
  return is_float(*weight) || (weight->dtype == OSSIA_INT8 && weight->experts == 1);
}

bool is_low_rank(const ossia_low_rank* terms) {
  if (terms == nullptr) return true;
  return terms->a != nullptr && terms->b != nullptr && terms->scale != nullptr && terms->adapters >= 0 &&
         terms->width >= 1;
}

bool within(const int32_t* indices, int64_t count, int32_t lowest, int64_t end) {
  for (int64_t i = 0; i < count; ++i) {
    if (indices[i] < lowest || indices[i] >= end) return false;
  }
  return true;
}

}  // namespace ossia
