// What tests of products share: random weights in buffers of exactly their size (so that the address sanitizer sees any
// read beyond them), and the products in double with the bound on what float32 may lose.

#ifndef OSSIA_TEST_MODEL_OF_PRODUCTS_H_
#define OSSIA_TEST_MODEL_OF_PRODUCTS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "ossia.h"

namespace ossia::test {

inline const char* const kIsas[] = {"zen4", "avx512bf16", "avx512", "avx2", "dotprod", "neon", "portable", "amx"};

// Calls body(context) on each instruction set of this processor, with one thread and with three.
template <class F>
void on_each_context(F&& body) {
  for (const char* isa : kIsas) {
    for (int threads : {1, 3}) {
      ossia_context* context;
      if (ossia_create(threads, isa, &context) != OSSIA_OK) continue;
      body(context);
      ossia_destroy(context);
    }
  }
}

#if defined(__FP_FAST_FMAF)
constexpr bool kPortableIsFused = true;
#else
constexpr bool kPortableIsFused = false;
#endif

// Portable code for x86 has no fused multiply-add, and tiles add in an order of their own; the others share their bits.
inline bool shares_bits(const std::string& isa, int32_t dtype, bool fast) {
  return (isa != "portable" || kPortableIsFused) && (isa != "amx" || !fast || dtype == OSSIA_F32);
}

inline float float_of(uint16_t bf16) {
  const uint32_t bits = uint32_t{bf16} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// To nearest, ties to even, for finite values.
inline uint16_t bf16_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline double nibble_value(int nibble, int scale) {
  static const double grid[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return std::ldexp((nibble & 8 ? -1 : 1) * grid[nibble & 7], scale - 127);
}

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  float normal() { return normal_(engine_); }
  int below(int end) { return static_cast<int>(engine_() % static_cast<uint32_t>(end)); }
  std::vector<float> normals(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal();
    return values;
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// Weights [X, N, C] with their values in double.
struct Weights {
  std::vector<double> dense;
  std::vector<float> f32, bias;
  std::vector<uint16_t> bf16;
  std::vector<uint8_t> blocks, scales;
  ossia_weight abi{};

  // Scales of MXFP4 are drawn from `low` to `high`.
  Weights(Random& random, int32_t dtype, int64_t experts, int64_t rows, int64_t columns, bool with_bias, int low = 118,
          int high = 126) {
    const int64_t count = experts * rows * columns;
    dense.resize(static_cast<size_t>(count));
    if (with_bias) bias = random.normals(experts * rows);
    abi = {nullptr, nullptr, with_bias ? bias.data() : nullptr, experts, rows, columns, dtype};
    if (dtype == OSSIA_MXFP4) {
      for (int64_t block = 0; block < count / 32; ++block) add_block(random, low + random.below(high - low + 1), block);
      blocks.shrink_to_fit();
      scales.shrink_to_fit();
      abi.values = blocks.data();
      abi.scales = scales.data();
      return;
    }
    f32 = random.normals(count);
    for (float value : f32) bf16.push_back(bf16_of(value));
    bf16.shrink_to_fit();
    for (size_t i = 0; i < dense.size(); ++i) dense[i] = dtype == OSSIA_F32 ? f32[i] : float_of(bf16[i]);
    abi.values = dtype == OSSIA_F32 ? static_cast<const void*>(f32.data()) : bf16.data();
  }

  double at(int64_t expert, int64_t row, int64_t column) const {
    return dense[static_cast<size_t>((expert * abi.rows + row) * abi.columns + column)];
  }

 private:
  void add_block(Random& random, int scale, int64_t block) {
    scales.push_back(static_cast<uint8_t>(scale));
    for (int k = 0; k < 16; ++k) {
      const int byte = random.below(256);
      blocks.push_back(static_cast<uint8_t>(byte));
      dense[static_cast<size_t>(block * 32 + 2 * k)] = nibble_value(byte & 15, scale);
      dense[static_cast<size_t>(block * 32 + 2 * k + 1)] = nibble_value(byte >> 4, scale);
    }
  }
};

// Low-rank terms for the weights.
struct Terms {
  std::vector<float> a, b, scale;
  ossia_low_rank abi{};

  Terms(Random& random, const ossia_weight& weight, int64_t adapters, int64_t width)
      : a(random.normals(adapters * weight.experts * width * weight.columns)),
        b(random.normals(adapters * weight.experts * weight.rows * width)),
        scale(random.normals(adapters)),
        abi{a.data(), b.data(), scale.data(), adapters, width} {}
};

// A value and how far from it float32 sums in any order of at most `n` roundings may be.
struct Bounded {
  double value = 0, magnitude = 0;

  void add(double product) {
    value += product;
    magnitude += std::fabs(product);
  }
  bool holds(float found, double roundings) const {
    return std::fabs(found - value) <= roundings * std::ldexp(1.0, -24) * magnitude;
  }
};

// The roundings behind one output: a lane takes two values of every 32, then the tree, the bias and the last store.
inline double roundings(int64_t columns) { return static_cast<double>(columns) / 16 + 10; }

inline float rounded(float x, bool fast) { return fast ? float_of(bf16_of(x)) : x; }

// Row `row` of expert `expert` times x [C], with bias and low-rank term.
inline Bounded product(const Weights& weights, int64_t expert, int64_t row, const float* x, bool fast,
                       const Terms* terms = nullptr, int32_t adapter = -1) {
  Bounded sum;
  const ossia_weight& shape = weights.abi;
  for (int64_t c = 0; c < shape.columns; ++c) sum.add(weights.at(expert, row, c) * rounded(x[c], fast));
  if (shape.bias != nullptr) sum.add(weights.bias[static_cast<size_t>(expert * shape.rows + row)]);
  if (terms == nullptr || adapter < 0) return sum;
  const int64_t matrix = adapter * shape.experts + expert, width = terms->abi.width;
  for (int64_t k = 0; k < width; ++k) {
    Bounded shrunk;
    const float* a = &terms->a[static_cast<size_t>((matrix * width + k) * shape.columns)];
    for (int64_t c = 0; c < shape.columns; ++c) shrunk.add(static_cast<double>(a[c]) * rounded(x[c], fast));
    const double b = terms->b[static_cast<size_t>((matrix * shape.rows + row) * width + k)];
    const double factor = b * terms->scale[static_cast<size_t>(adapter)];
    sum.value += factor * shrunk.value;
    sum.magnitude += std::fabs(factor) * shrunk.magnitude;
  }
  return sum;
}

// x as whole numbers up to `most` of one scale for each `together` columns.
inline std::vector<float> in_whole(const float* x, int64_t columns, float most, int64_t together) {
  std::vector<float> whole;
  for (int64_t begin = 0; begin < columns; begin += together) {
    const int64_t end = std::min(columns, begin + together);
    float largest = 0;
    for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::fabs(x[c]));
    for (int64_t c = begin; c < end; ++c)
      whole.push_back(largest > 0 ? std::nearbyintf(x[c] * (most / largest)) * (largest / most) : 0);
  }
  return whole;
}

// At most these, of 8, 15 and 23 bits.
constexpr float kCoarse = 127, kMiddle = 16256, kFine = 5592404;

// `product` with x in whole numbers, but for the low-rank term: in float32, or `fast` in bfloat16.
inline Bounded whole_product(const Weights& weights, int64_t expert, int64_t row, const float* x, const float* whole,
                             const Terms* terms, int32_t adapter, bool fast) {
  Bounded sum = product(weights, expert, row, whole, false);
  const Bounded with = product(weights, expert, row, x, fast, terms, adapter);
  const Bounded without = product(weights, expert, row, x, fast);
  sum.value += with.value - without.value;
  sum.magnitude += with.magnitude - without.magnitude;
  return sum;
}

// Whole numbers and the size of their unit.
struct Rounded {
  std::vector<int64_t> numbers;
  float scale = 0;

  // A coarse scale is the next bfloat16 that is not smaller.
  Rounded(const float* values, int64_t count, float most, bool coarse = false) : numbers(static_cast<size_t>(count)) {
    float largest = 0;
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(values[i]));
    if (largest == 0) return;
    scale = largest / most;
    float factor = most / largest;
    if (coarse) {
      uint32_t bits;
      std::memcpy(&bits, &scale, sizeof(bits));
      if (bits % 65536 != 0) bits += 65536 - bits % 65536;
      std::memcpy(&scale, &bits, sizeof(bits));
      factor = 1 / scale;
    }
    for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = std::lrintf(values[i] * factor);
  }
};

// Some of a token's whole numbers as such of 8 bits, with a scale in units of the token's.
inline Rounded coarser(const Rounded& activations, int64_t first, int64_t count) {
  const auto begin = activations.numbers.begin() + first;
  return Rounded(std::vector<float>(begin, begin + count).data(), count, 127.f);
}

// The shape of one call of ossia_linear.
struct LinearCase {
  int32_t dtype;
  int64_t tokens, rows, columns;
  bool bias, terms;
};

inline std::vector<float> linear(ossia_context* context, const std::vector<float>& x, int64_t tokens,
                                 const ossia_weight& weight, const ossia_low_rank* terms, const int32_t* adapters,
                                 int32_t precision) {
  std::vector<float> y(static_cast<size_t>(tokens * weight.rows), NAN);
  CHECK(ossia_linear(context, x.data(), tokens, &weight, terms, adapters, precision, y.data()) == OSSIA_OK);
  return y;
}

}  // namespace ossia::test

#endif  // OSSIA_TEST_MODEL_OF_PRODUCTS_H_
