// ossia_embed and ossia_linear against the products in double; the same bits for any batch, thread count and, in
// `exact`, instruction set with a fused multiply-add; and what is refused.

#include <algorithm>
#include <map>
#include <string>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

const LinearCase kCases[] = {
    {OSSIA_BF16, 1, 37, 96, true, false},    {OSSIA_BF16, 3, 64, 33, false, false},
    {OSSIA_BF16, 13, 41, 2880, true, false}, {OSSIA_F32, 1, 32, 70, true, false},
    {OSSIA_F32, 7, 9, 31, false, false},     {OSSIA_F32, 17, 24, 64, true, true},
    {OSSIA_BF16, 9, 130, 100, true, true},   {OSSIA_BF16, 1, 1, 1, true, true},
    {OSSIA_BF16, 2, 300, 512, false, true},  {OSSIA_BF16, 50, 70, 96, false, false},
    {OSSIA_BF16, 200, 35, 70, false, false},
};

void check_values(const LinearCase& shape, const Weights& weights, const Terms* terms, const std::vector<float>& x,
                  const std::vector<int32_t>& adapters, bool fast, const std::vector<float>& y, const char* isa) {
  for (int64_t t = 0; t < shape.tokens; ++t) {
    for (int64_t n = 0; n < shape.rows; ++n) {
      const Bounded wanted = product(weights, 0, n, &x[static_cast<size_t>(t * shape.columns)], fast, terms,
                                     adapters[static_cast<size_t>(t)]);
      const float found = y[static_cast<size_t>(t * shape.rows + n)];
      CHECK_THAT(wanted.holds(found, roundings(shape.columns) + 20), "%s, %d tokens: %g for %g", isa,
                 static_cast<int>(shape.tokens), found, wanted.value);
    }
  }
}

// The order of additions that src/tile_kernels.h states, one product at a time.
float in_tile_order(const Weights& weights, int64_t row, const float* x) {
  float sum = 0;
  for (int64_t c = 0; c < weights.abi.columns; c += 32) {
    float halves[2] = {0, 0};
    for (int64_t k = c; k < std::min<int64_t>(c + 32, weights.abi.columns); ++k) {
      halves[k % 2] = std::fmaf(static_cast<float>(weights.at(0, row, k)), rounded(x[k], true), halves[k % 2]);
    }
    sum += halves[0] + halves[1];
  }
  return sum;
}

void check_tile_order(const LinearCase& shape, const Weights& weights, const std::vector<float>& x,
                      const std::vector<float>& y) {
  for (int64_t t = 0; t < shape.tokens; ++t) {
    for (int64_t n = 0; n < shape.rows; ++n) {
      const float wanted = in_tile_order(weights, n, &x[static_cast<size_t>(t * shape.columns)]);
      CHECK(y[static_cast<size_t>(t * shape.rows + n)] == wanted);
    }
  }
}

// Some rows alone have the bits that they have among all, and nothing else is written.
void check_rows(ossia_context* context, const LinearCase& shape, const Weights& weights, const std::vector<float>& x,
                int32_t precision, const std::vector<float>& y, Random& random) {
  std::vector<uint32_t> wanted(static_cast<size_t>(shape.rows + 31) / 32);
  for (uint32_t& word : wanted) word = static_cast<uint32_t>(random.below(1 << 16)) << random.below(17);
  std::vector<float> some(y.size(), -7.f);
  CHECK(ossia_linear_rows(context, x.data(), shape.tokens, &weights.abi, wanted.data(), precision, some.data()) ==
        OSSIA_OK);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t row = i % static_cast<size_t>(shape.rows);
    const bool is_wanted = (wanted[row / 32] >> (row % 32) & 1) != 0;
    CHECK_THAT(some[i] == (is_wanted ? y[i] : -7.f), "row %d of some", static_cast<int>(row));
  }
}

void check_case(const LinearCase& shape, int32_t precision, uint32_t seed) {
  Random random(seed);
  const Weights weights(random, shape.dtype, 1, shape.rows, shape.columns, shape.bias);
  const Terms low_rank(random, weights.abi, 2, 5);
  const Terms* terms = shape.terms ? &low_rank : nullptr;
  const std::vector<float> x = random.normals(shape.tokens * shape.columns);
  std::vector<int32_t> adapters;
  for (int64_t t = 0; t < shape.tokens; ++t) adapters.push_back(random.below(3) - 1);
  const ossia_low_rank* abi_terms = terms == nullptr ? nullptr : &terms->abi;

  std::vector<float> first;
  for (const char* isa : kIsas) {
    for (int threads : {1, 3}) {
      ossia_context* context;
      if (ossia_create(threads, isa, &context) != OSSIA_OK) continue;
      const std::vector<float> y = linear(context, x, shape.tokens, weights.abi, abi_terms, adapters.data(), precision);
      check_values(shape, weights, terms, x, adapters, precision == OSSIA_FAST, y, isa);
      if (first.empty()) first = y;
      const bool shares = shares_bits(isa, shape.dtype, precision == OSSIA_FAST);
      CHECK_THAT(!shares || y == first, "%s differs", isa);
      if (std::string(isa) == "amx" && !shares && !shape.bias && !shape.terms) check_tile_order(shape, weights, x, y);
      if (terms == nullptr) check_rows(context, shape, weights, x, precision, y, random);
      for (int64_t t = 0; t < shape.tokens; ++t) {
        const std::vector<float> alone(x.begin() + t * shape.columns, x.begin() + (t + 1) * shape.columns);
        const std::vector<float> row =
            linear(context, alone, 1, weights.abi, abi_terms, &adapters[static_cast<size_t>(t)], precision);
        CHECK_THAT(std::equal(row.begin(), row.end(), y.begin() + t * shape.rows), "%s: token %d alone differs", isa,
                   static_cast<int>(t));
      }
      ossia_destroy(context);
    }
  }
}

void check_embed() {
  Random random(7);
  for (int32_t dtype : {OSSIA_BF16, OSSIA_F32}) {
    const Weights table(random, dtype, 1, 11, 37, false);
    for (const char* isa : kIsas) {
      ossia_context* context;
      if (ossia_create(2, isa, &context) != OSSIA_OK) continue;
      const std::vector<int32_t> tokens = {10, 0, 3, 3};
      std::vector<float> y(tokens.size() * 37);
      CHECK(ossia_embed(context, &table.abi, tokens.data(), 4, y.data()) == OSSIA_OK);
      for (size_t i = 0; i < y.size(); ++i) {
        CHECK_THAT(y[i] == table.at(0, tokens[i / 37], static_cast<int64_t>(i % 37)), "%s: %g", isa, y[i]);
      }
      for (int32_t wrong : {-1, 11, INT32_MAX, INT32_MIN}) {
        CHECK(ossia_embed(context, &table.abi, &wrong, 1, y.data()) == OSSIA_BAD_INDEX);
      }
      ossia_destroy(context);
    }
  }
}

void check_refusals() {
  Random random(3);
  const Weights weights(random, OSSIA_BF16, 1, 8, 32, true);
  const Terms terms(random, weights.abi, 2, 4);
  std::vector<float> x(32), y(8);
  ossia_context* context;
  CHECK(ossia_create(1, nullptr, &context) == OSSIA_OK);
  const auto call = [&](const ossia_weight& weight, int32_t adapter, int32_t precision) {
    return ossia_linear(context, x.data(), 1, &weight, &terms.abi, &adapter, precision, y.data());
  };
  CHECK(call(weights.abi, 1, OSSIA_FAST) == OSSIA_OK);
  CHECK(call(weights.abi, 2, OSSIA_FAST) == OSSIA_BAD_INDEX);
  CHECK(call(weights.abi, -2, OSSIA_FAST) == OSSIA_BAD_INDEX);
  CHECK(call(weights.abi, 0, 3) == OSSIA_BAD_ARGUMENT);
  ossia_weight wrong = weights.abi;
  wrong.dtype = 9;
  CHECK(call(wrong, 0, OSSIA_EXACT) == OSSIA_BAD_ARGUMENT);
  wrong = weights.abi;
  wrong.values = nullptr;
  CHECK(call(wrong, 0, OSSIA_EXACT) == OSSIA_BAD_ARGUMENT);
  wrong = weights.abi;
  wrong.columns = 0;
  CHECK(call(wrong, 0, OSSIA_EXACT) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_linear(context, x.data(), 0, &weights.abi, nullptr, nullptr, OSSIA_EXACT, y.data()) == OSSIA_OK);
  const uint32_t rows = 1;
  const auto some = [&](const uint32_t* wanted, int32_t precision) {
    return ossia_linear_rows(context, x.data(), 1, &weights.abi, wanted, precision, y.data());
  };
  CHECK(some(&rows, OSSIA_EXACT) == OSSIA_OK);
  CHECK(some(nullptr, OSSIA_EXACT) == OSSIA_BAD_ARGUMENT);
  CHECK(some(&rows, OSSIA_TURBO) == OSSIA_OK);
  CHECK(some(&rows, 3) == OSSIA_BAD_ARGUMENT);
  ossia_destroy(context);
  CHECK(ossia_create(1, "avx1024", &context) == OSSIA_UNSUPPORTED && context == nullptr);
  CHECK(ossia_create(-1, nullptr, &context) == OSSIA_BAD_ARGUMENT);
}

}  // namespace

int main() {
  uint32_t seed = 1;
  for (const LinearCase& shape : kCases) {
    for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST}) check_case(shape, precision, seed++);
  }
  check_embed();
  check_refusals();
  return failures > 0;
}
