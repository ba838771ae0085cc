// What is said of a draw, looked at in the same way by all that reads it.

#ifndef OSSIA_DRAWS_H_
#define OSSIA_DRAWS_H_

#include <cstdint>

#include "ossia.h"
#include "sample.h"

namespace ossia {

// Whether temperatures, filters, biases and masks can be what they say.
bool is_sound(const ossia_draw& draw, int64_t rows, int64_t vocabulary);

// Whether biases are of tokens of the vocabulary.
bool has_known_tokens(const ossia_draw& draw, int64_t rows, int64_t vocabulary);

// Whether top-k, top-p or min-p leave tokens of a row out.
inline bool is_filtered(const ossia_draw& draw, int64_t row) {
  return draw.temperature[row] != 0.f && (draw.top_k[row] > 0 || draw.top_p[row] < 1.f || draw.min_p[row] > 0.f);
}

// Whether the tokens drawn are the best of their rows, and nothing else is wanted.
inline bool takes_the_best(const ossia_draw& draw, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    if (is_filtered(draw, row)) return false;
  }
  return draw.logprobs == 0;
}

inline bool is_biased(const ossia_draw& draw, int64_t row) { return draw.bias_starts[row + 1] > draw.bias_starts[row]; }

// Adds a row's biases of the tokens from `first` to `end` - 1 to its scores [V].
void add_biases(const ossia_draw& draw, int64_t row, int64_t first, int64_t end, float* scores);

// A row as kernels see it, before any filter, with `scores` [V] that have their biases.
Row row_of(const ossia_draw& draw, int64_t row, const float* scores);

}  // namespace ossia

#endif  // OSSIA_DRAWS_H_
