// Weights in 8 bits against the definition in ossia.h, computed one number at a time: the same bits on every
// instruction set, for any batch and thread count; and what is not finite, or is refused.

#include <algorithm>
#include <cstring>
#include <limits>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

const LinearCase kCases[] = {
    {OSSIA_BF16, 1, 1, 1, true, false},       {OSSIA_BF16, 1, 48, 64, false, false},
    {OSSIA_BF16, 2, 33, 256, true, false},    {OSSIA_BF16, 3, 70, 257, true, false},
    {OSSIA_F32, 4, 31, 2880, false, false},   {OSSIA_BF16, 5, 16, 320, false, false},
    {OSSIA_BF16, 9, 41, 2880, true, false},   {OSSIA_BF16, 16, 100, 512, false, false},
    {OSSIA_F32, 19, 24, 70, true, false},     {OSSIA_BF16, 150, 37, 130, true, false},
    {OSSIA_BF16, 1, 700, 2880, false, false}, {OSSIA_BF16, 7, 130, 96, true, true},
    {OSSIA_BF16, 1, 130, 96, true, true},
};

constexpr int64_t kSegment = 64;

// Row `row` of the weights times x, before bias and low-rank terms; `coarse`: with activations of 8 bits.
float defined(const Weights& weights, int64_t row, const float* x, bool coarse = false) {
  const int64_t columns = weights.abi.columns;
  const Rounded activations(x, columns, 16256.f);
  float sum = 0;
  for (int64_t c = 0; c < columns; c += kSegment) {
    const int64_t count = std::min(kSegment, columns - c);
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(weights.at(0, row, c + i)));
    const Rounded segment(values.data(), count, 127.f, true);
    const Rounded few = coarser(activations, c, count);
    int64_t whole = 0;
    for (int64_t i = 0; i < count; ++i) {
      const size_t at = static_cast<size_t>(i);
      whole += segment.numbers[at] * (coarse ? few.numbers[at] : activations.numbers[static_cast<size_t>(c + i)]);
    }
    const float number = static_cast<float>(whole);
    sum = coarse ? std::fma(number * segment.scale, few.scale, sum) : sum + number * segment.scale;
  }
  return sum * activations.scale;
}

struct Panels {
  std::vector<char> bytes;
  ossia_weight abi;

  Panels(ossia_context* context, const ossia_weight& weight)
      : bytes(static_cast<size_t>(ossia_int8_bytes(weight.rows, weight.columns))), abi(weight) {
    CHECK(ossia_int8_round(context, &weight, bytes.data()) == OSSIA_OK);
    abi.values = bytes.data();
    abi.dtype = OSSIA_INT8;
  }
};

void check_defined(const LinearCase& shape, const Weights& weights, const std::vector<float>& x,
                   const std::vector<float>& y, const char* isa, bool coarse = false) {
  for (int64_t t = 0; t < shape.tokens; ++t) {
    for (int64_t n = 0; n < shape.rows; ++n) {
      float wanted = defined(weights, n, &x[static_cast<size_t>(t * shape.columns)], coarse);
      if (shape.bias) wanted += weights.bias[static_cast<size_t>(n)];
      const float found = y[static_cast<size_t>(t * shape.rows + n)];
      CHECK_THAT(found == wanted, "%s, token %d, row %d: %g for %g", isa, static_cast<int>(t), static_cast<int>(n),
                 found, wanted);
    }
  }
}

// Beside the products alone stands what ossia_linear adds for the same terms to a matrix of zeros, within rounding.
void check_terms(const LinearCase& shape, const Weights& weights, const Terms& terms, const std::vector<float>& x,
                 const std::vector<int32_t>& adapters, const std::vector<float>& y) {
  for (int64_t t = 0; t < shape.tokens; ++t) {
    const float* row = &x[static_cast<size_t>(t * shape.columns)];
    for (int64_t n = 0; n < shape.rows; ++n) {
      const Bounded all = product(weights, 0, n, row, true, &terms, adapters[static_cast<size_t>(t)]);
      const Bounded alone = product(weights, 0, n, row, true);
      float wanted = defined(weights, n, row);
      if (shape.bias) wanted += weights.bias[static_cast<size_t>(n)];
      const Bounded sum{wanted + (all.value - alone.value), all.magnitude};
      CHECK(sum.holds(y[static_cast<size_t>(t * shape.rows + n)], roundings(shape.columns) + 20));
    }
  }
}

void check_case(const LinearCase& shape, uint32_t seed) {
  Random random(seed);
  const Weights weights(random, shape.dtype, 1, shape.rows, shape.columns, shape.bias);
  const Terms low_rank(random, weights.abi, 2, 5);
  const Terms* terms = shape.terms ? &low_rank : nullptr;
  const ossia_low_rank* abi_terms = shape.terms ? &low_rank.abi : nullptr;
  const std::vector<float> x = random.normals(shape.tokens * shape.columns);
  std::vector<int32_t> adapters;
  for (int64_t t = 0; t < shape.tokens; ++t) adapters.push_back(random.below(3) - 1);
  std::vector<char> first;
  for (const char* isa : kIsas) {
    for (int threads : {1, 3}) {
      ossia_context* context;
      if (ossia_create(threads, isa, &context) != OSSIA_OK) continue;
      const Panels panels(context, weights.abi);
      if (first.empty()) first = panels.bytes;
      CHECK_THAT(panels.bytes == first, "%s rounds otherwise", isa);
      const std::vector<float> y = linear(context, x, shape.tokens, panels.abi, abi_terms, adapters.data(), OSSIA_FAST);
      if (terms == nullptr) {
        check_defined(shape, weights, x, y, isa);
      } else {
        check_terms(shape, weights, *terms, x, adapters, y);
      }
      const std::vector<float> turbo =
          linear(context, x, shape.tokens, panels.abi, abi_terms, adapters.data(), OSSIA_TURBO);
      if (shape.tokens <= ossia_most_whole_tokens(context, OSSIA_TURBO)) {
        CHECK_THAT(turbo == y, "%s: turbo differs", isa);
      } else if (terms == nullptr) {
        check_defined(shape, weights, x, turbo, isa, true);
      }
      CHECK(ossia_most_whole_tokens(context, OSSIA_FAST) == INT64_MAX);
      for (int64_t t = 0; t < shape.tokens; ++t) {
        const std::vector<float> alone(x.begin() + t * shape.columns, x.begin() + (t + 1) * shape.columns);
        const std::vector<float> row =
            linear(context, alone, 1, panels.abi, abi_terms, &adapters[static_cast<size_t>(t)], OSSIA_FAST);
        CHECK_THAT(std::equal(row.begin(), row.end(), y.begin() + t * shape.rows), "%s: token %d alone differs", isa,
                   static_cast<int>(t));
      }
      ossia_destroy(context);
    }
  }
}

// All weights at their largest, and all activations: sums of 64 columns must not overflow.
void check_largest() {
  Random random(5);
  Weights weights(random, OSSIA_F32, 1, 16, 4096, false);
  for (float& value : weights.f32) value = -3.f;
  for (double& value : weights.dense) value = -3;
  for (int64_t tokens : {1, 2, 20}) {
    const std::vector<float> x(static_cast<size_t>(tokens * 4096), -2.f);
    for (const char* isa : kIsas) {
      ossia_context* context;
      if (ossia_create(2, isa, &context) != OSSIA_OK) continue;
      const Panels panels(context, weights.abi);
      check_defined({OSSIA_F32, tokens, 16, 4096, false, false}, weights, x,
                    linear(context, x, tokens, panels.abi, nullptr, nullptr, OSSIA_FAST), isa);
      ossia_destroy(context);
    }
  }
}

void check_not_finite() {
  Random random(6);
  const float infinite = std::numeric_limits<float>::infinity();
  for (const char* isa : kIsas) {
    ossia_context* context;
    if (ossia_create(1, isa, &context) != OSSIA_OK) continue;
    Weights weights(random, OSSIA_F32, 1, 17, 300, false);
    weights.f32[3 * 300 + 280] = NAN;  // row 3, second segment
    for (int64_t tokens : {3, 9}) {
      std::vector<float> x = random.normals(tokens * 300);
      x[5] = -infinite;                                                                       // token 0
      std::fill(x.begin() + 300, x.begin() + 600, std::numeric_limits<float>::denorm_min());  // token 1
      const Panels panels(context, weights.abi);
      const std::vector<float> y = linear(context, x, tokens, panels.abi, nullptr, nullptr, OSSIA_FAST);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t n = 0; n < 17; ++n) {
          const float found = y[static_cast<size_t>(t * 17 + n)];
          CHECK_THAT(std::isnan(found) == (t == 0 || n == 3), "%s: token %d, row %d is %g", isa, static_cast<int>(t),
                     static_cast<int>(n), found);
          if (t == 1 && n != 3) CHECK(found == 0);
        }
      }
    }
    ossia_destroy(context);
  }
}

void check_refusals() {
  Random random(3);
  const Weights weights(random, OSSIA_BF16, 1, 8, 32, false), several(random, OSSIA_BF16, 2, 64, 32, false);
  std::vector<float> x(32), y(8);
  const int32_t token = 0;
  ossia_context* context;
  CHECK(ossia_create(1, nullptr, &context) == OSSIA_OK);
  Panels panels(context, weights.abi);
  CHECK(ossia_linear(context, x.data(), 1, &panels.abi, nullptr, nullptr, OSSIA_EXACT, y.data()) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_embed(context, &panels.abi, &token, 1, y.data()) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int8_round(context, &panels.abi, panels.bytes.data()) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int8_round(context, &several.abi, panels.bytes.data()) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int8_round(context, &weights.abi, nullptr) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int8_bytes(0, 5) == 0 && ossia_int8_bytes(5, 0) == 0 && ossia_int8_bytes(INT64_MAX, 2) == 0);
  // Of 17 rows and 65 columns: two panels of one line of scales and 32 of bytes.
  CHECK(ossia_int8_bytes(17, 65) == 2 * (64 + 32 * 64));
  ossia_destroy(context);
}

}  // namespace

int main() {
  uint32_t seed = 1;
  for (const LinearCase& shape : kCases) check_case(shape, seed++);
  check_largest();
  check_not_finite();
  check_refusals();
  return failures > 0;
}
