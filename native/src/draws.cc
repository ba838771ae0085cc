#include "draws.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "context.h"

namespace ossia {

bool is_sound(const ossia_draw& draw, int64_t rows, int64_t vocabulary) {
  for (int64_t row = 0; row < rows; ++row) {
    if (!(draw.temperature[row] >= 0.f) || std::isinf(draw.temperature[row]) || draw.top_k[row] < 0) return false;
    if (std::isnan(draw.top_p[row]) || std::isnan(draw.min_p[row])) return false;
    if (draw.bias_starts[row] < 0 || draw.bias_starts[row + 1] < draw.bias_starts[row]) return false;
  }
  return draw.mask == nullptr || draw.mask_words >= divide_up(vocabulary, 32);
}

bool has_known_tokens(const ossia_draw& draw, int64_t rows, int64_t vocabulary) {
  const int32_t* tokens = draw.bias_tokens;
  return rows == 0 || std::all_of(tokens + draw.bias_starts[0], tokens + draw.bias_starts[rows],
                                  [&](int32_t token) { return token >= 0 && token < vocabulary; });
}

void add_biases(const ossia_draw& draw, int64_t row, int64_t first, int64_t end, float* scores) {
  for (int32_t i = draw.bias_starts[row]; i < draw.bias_starts[row + 1]; ++i) {
    const int32_t token = draw.bias_tokens[i];
    if (token >= first && token < end) scores[token] += draw.bias_values[i];
  }
}

Row row_of(const ossia_draw& draw, int64_t row, const float* scores) {
  const uint32_t* mask = draw.mask == nullptr ? nullptr : draw.mask + row * draw.mask_words;
  const uint64_t key = mix(draw.seed[row] + kGolden * mix(static_cast<uint64_t>(draw.position[row])));
  const float nothing = -std::numeric_limits<float>::infinity();
  return Row{scores, mask, draw.temperature[row], key, false, 0.f, nothing, float{kMostVocabulary}, 0.f};
}

}  // namespace ossia
