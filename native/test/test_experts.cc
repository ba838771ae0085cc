// ossia_experts against the definition in double, for every dtype and instruction set; the same bits for any thread
// count and, but for turbo, any batch; and what is refused. Scale bytes have tests of their own (test_scales.cc).

#include <algorithm>
#include <string>

#include "check.h"
#include "kernels.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

constexpr int64_t kExperts = 5, kActive = 3;
constexpr float kLimit = 7;

struct Case {
  int32_t dtype;
  int64_t tokens, width, inner;
  bool terms;
};

const Case kCases[] = {
    {OSSIA_MXFP4, 1, 96, 64, false},    {OSSIA_MXFP4, 2, 64, 160, true},    {OSSIA_MXFP4, 40, 160, 96, true},
    {OSSIA_BF16, 1, 40, 36, false},     {OSSIA_BF16, 11, 72, 50, true},     {OSSIA_F32, 3, 33, 20, true},
    {OSSIA_MXFP4, 9, 32, 32, false},    {OSSIA_MXFP4, 2, 320, 128, false},  {OSSIA_BF16, 21, 300, 96, false},
    {OSSIA_MXFP4, 60, 96, 160, false},  {OSSIA_MXFP4, 14, 3200, 32, false}, {OSSIA_MXFP4, 12, 4160, 32, false},
    {OSSIA_MXFP4, 60, 3200, 32, false}, {OSSIA_MXFP4, 30, 2912, 32, false}, {OSSIA_MXFP4, 12, 4096, 32, false},
    {OSSIA_MXFP4, 260, 96, 32, false},  {OSSIA_MXFP4, 60, 4160, 32, false},
};

struct Mixture {
  Weights gate_up, down;
  Terms gate_up_terms, down_terms;

  Mixture(Random& random, const Case& shape)
      : gate_up(random, shape.dtype, kExperts, 2 * shape.inner, shape.width, true),
        down(random, shape.dtype, kExperts, shape.width, shape.inner, true),
        gate_up_terms(random, gate_up.abi, 2, 4),
        down_terms(random, down.abi, 2, 3) {}
};

struct Inputs {
  std::vector<float> x, shares;
  std::vector<int32_t> chosen, adapters;
};

Inputs draw(Random& random, const Case& shape) {
  Inputs inputs;
  inputs.x = random.normals(shape.tokens * shape.width);
  for (int64_t t = 0; t < shape.tokens; ++t) {
    std::vector<int32_t> order = {0, 1, 2, 3, 4};
    for (size_t i = 4; i > 0; --i)
      std::swap(order[i], order[static_cast<size_t>(random.below(static_cast<int>(i) + 1))]);
    for (int64_t a = 0; a < kActive; ++a) {
      inputs.chosen.push_back(order[static_cast<size_t>(a)]);
      inputs.shares.push_back(std::fabs(random.normal()));
    }
    inputs.adapters.push_back(random.below(3) - 1);
  }
  return inputs;
}

std::vector<float> experts(ossia_context* context, const Case& shape, const Mixture& mixture, const Inputs& inputs,
                           int64_t first, int64_t tokens, int32_t precision) {
  std::vector<float> y(static_cast<size_t>(tokens * shape.width), NAN);
  const auto at = [](const auto& values, int64_t i) { return values.data() + i; };
  CHECK(ossia_experts(context, at(inputs.x, first * shape.width), tokens, at(inputs.chosen, first * kActive),
                      at(inputs.shares, first * kActive), kActive, &mixture.gate_up.abi, &mixture.down.abi,
                      shape.terms ? &mixture.gate_up_terms.abi : nullptr,
                      shape.terms ? &mixture.down_terms.abi : nullptr,
                      shape.terms ? at(inputs.adapters, first) : nullptr, kLimit, precision, y.data()) == OSSIA_OK);
  return y;
}

// How the inputs of an expert's products are rounded.
enum class Inner { kNone, kWords, kFine, kWhole, kCoarse };

// By the pairs of an expert among `tokens` from `first` on.
Inner rounding_of(const std::string& isa, const Mixture& mixture, int32_t precision, const Inputs& inputs,
                  int64_t first, int64_t tokens, int64_t expert) {
  const auto begin = inputs.chosen.begin() + first * kActive;
  const ossia::Kernels& kernels = *ossia::choose_kernels(isa.c_str());
  const bool fine = mixture.down.abi.dtype == OSSIA_MXFP4 && ossia::has_fine_products(kernels, 0);
  if (precision == OSSIA_EXACT) return fine ? Inner::kFine : Inner::kNone;
  const int64_t pairs = std::count(begin, begin + tokens * kActive, static_cast<int32_t>(expert));
  const ossia::ExpertRounding rounding = ossia::expert_rounding(kernels, precision);
  if (mixture.down.abi.dtype != OSSIA_MXFP4) return Inner::kWords;
  if (pairs <= rounding.whole_tokens) return Inner::kWhole;
  return rounding.rest == OSSIA_INT8 ? Inner::kCoarse : Inner::kWords;
}

// Rows that are too wide for 23 bits have none, which is no further from them than float32 sums are.
std::vector<float> in_whole_as(Inner inner, const float* x, int64_t columns) {
  if (inner == Inner::kFine) return in_whole(x, columns, kFine, 32);
  const std::vector<float> middle = in_whole(x, columns, kMiddle, columns);
  return inner == Inner::kCoarse ? in_whole(middle.data(), columns, kCoarse, 32) : middle;
}

Bounded product_as(Inner inner, const Weights& weights, int64_t expert, int64_t row, const float* x, const float* whole,
                   const Terms* terms, int32_t adapter) {
  if (inner == Inner::kFine) return whole_product(weights, expert, row, x, whole, terms, adapter, false);
  if (inner == Inner::kWhole || inner == Inner::kCoarse)
    return whole_product(weights, expert, row, x, whole, terms, adapter, true);
  return product(weights, expert, row, x, inner == Inner::kWords, terms, adapter);
}

// One token's activations at one expert. Their own error enters the next product, so it is bounded here through the
// largest slope of the activation: gate * sigmoid rises by at most 1.1, times up + 1 of at most 8; up at most 7.
std::vector<Bounded> activations(const Case& shape, const Mixture& mixture, const float* x, int64_t expert, Inner inner,
                                 int32_t adapter) {
  std::vector<Bounded> result;
  const std::vector<float> whole = in_whole_as(inner, x, shape.width);
  const Terms* terms = shape.terms ? &mixture.gate_up_terms : nullptr;
  for (int64_t j = 0; j < shape.inner; ++j) {
    const auto sum = [&](int64_t row) {
      return product_as(inner, mixture.gate_up, expert, row, x, whole.data(), terms, adapter);
    };
    const Bounded gate_sum = sum(2 * j), up_sum = sum(2 * j + 1);
    const double gate = std::min<double>(gate_sum.value, kLimit);
    const double up = std::clamp<double>(up_sum.value, -kLimit, kLimit);
    Bounded a;
    a.value = gate / (1 + std::exp(-1.702 * gate)) * (up + 1);
    a.magnitude = 9 * gate_sum.magnitude + 7 * up_sum.magnitude + std::fabs(a.value);
    result.push_back(a);
  }
  return result;
}

// Token t of a call of `tokens` from `first` on, whose result is y.
void check_token(const Case& shape, const Mixture& mixture, const Inputs& inputs, int64_t first, int64_t tokens,
                 int64_t t, int32_t precision, const std::vector<float>& y, const char* isa) {
  const int32_t adapter = shape.terms ? inputs.adapters[static_cast<size_t>(t)] : -1;
  std::vector<Bounded> sums(static_cast<size_t>(shape.width));
  std::vector<double> rounding_of_a(static_cast<size_t>(shape.width));
  for (int64_t pair = t * kActive; pair < (t + 1) * kActive; ++pair) {
    const int64_t expert = inputs.chosen[static_cast<size_t>(pair)];
    const float share = inputs.shares[static_cast<size_t>(pair)];
    const Inner inner = rounding_of(isa, mixture, precision, inputs, first, tokens, expert);
    const std::vector<Bounded> a =
        activations(shape, mixture, &inputs.x[static_cast<size_t>(t * shape.width)], expert, inner, adapter);
    std::vector<float> exact;
    for (const Bounded& value : a) exact.push_back(static_cast<float>(value.value));
    const std::vector<float> whole = in_whole_as(inner, exact.data(), shape.inner);
    const float largest = std::fabs(*std::max_element(
        exact.begin(), exact.end(), [](float one, float other) { return std::fabs(one) < std::fabs(other); }));
    const Terms* terms = shape.terms ? &mixture.down_terms : nullptr;
    for (int64_t n = 0; n < shape.width; ++n) {
      Bounded down = product_as(inner, mixture.down, expert, n, exact.data(), whole.data(), terms, adapter);
      for (int64_t j = 0; j < shape.inner; ++j) {
        double weight = std::fabs(mixture.down.at(expert, n, j));
        if (terms != nullptr && adapter >= 0) {
          const int64_t matrix = adapter * kExperts + expert, rank = terms->abi.width;
          for (int64_t k = 0; k < rank; ++k) {
            weight += std::fabs(terms->scale[static_cast<size_t>(adapter)] *
                                terms->b[static_cast<size_t>((matrix * shape.width + n) * rank + k)] *
                                terms->a[static_cast<size_t>((matrix * rank + k) * shape.inner + j)]);
          }
        }
        down.magnitude += weight * a[static_cast<size_t>(j)].magnitude;
        // Near a border of bfloat16 the tiniest error turns the rounding: a whole step, 2^-8 of the value, is allowed.
        // So it is with whole numbers, but for low-rank terms, and theirs is the same for all.
        const double value = std::fabs(a[static_cast<size_t>(j)].value);
        const double plain = std::fabs(mixture.down.at(expert, n, j));
        double step = 0;
        if (inner == Inner::kWords) step = weight * value / 256;
        if (inner == Inner::kFine) step = plain * largest / kFine;
        if (inner == Inner::kWhole) step = plain * largest / kMiddle + (weight - plain) * value / 256;
        if (inner == Inner::kCoarse) step = plain * largest / kCoarse + (weight - plain) * value / 256;
        rounding_of_a[static_cast<size_t>(n)] += share * step;
      }
      sums[static_cast<size_t>(n)].value += share * down.value;
      sums[static_cast<size_t>(n)].magnitude += share * down.magnitude;
    }
  }
  for (int64_t n = 0; n < shape.width; ++n) {
    Bounded wanted = sums[static_cast<size_t>(n)];
    const float found = y[static_cast<size_t>((t - first) * shape.width + n)];
    const double allowed = (roundings(shape.width) + roundings(shape.inner) + 20) * std::ldexp(wanted.magnitude, -24) +
                           rounding_of_a[static_cast<size_t>(n)];
    CHECK_THAT(std::fabs(found - wanted.value) <= allowed, "%s token %d: %g for %g +- %g", isa, static_cast<int>(t),
               found, wanted.value, allowed);
  }
}

void check_case(const Case& shape, int32_t precision, uint32_t seed) {
  Random random(seed);
  const Mixture mixture(random, shape);
  const Inputs inputs = draw(random, shape);
  std::vector<float> shared;
  const bool turbo = precision == OSSIA_TURBO;
  for (const char* isa : kIsas) {
    std::vector<float> own;
    for (int threads : {1, 3}) {
      ossia_context* context;
      if (ossia_create(threads, isa, &context) != OSSIA_OK) continue;
      const std::vector<float> y = experts(context, shape, mixture, inputs, 0, shape.tokens, precision);
      if (own.empty()) own = y;
      CHECK_THAT(y == own, "%s differs by threads", isa);
      // Whole numbers are added in an order of their own.
      const ossia::Kernels& kernels = *ossia::choose_kernels(isa);
      const bool fine = precision == OSSIA_EXACT && ossia::has_fine_products(kernels, 0);
      const bool whole =
          shape.dtype == OSSIA_MXFP4 && (fine || ossia::expert_rounding(kernels, precision).whole_tokens > 0);
      if (!whole && shares_bits(isa, shape.dtype, precision != OSSIA_EXACT)) {
        if (shared.empty()) shared = y;
        CHECK_THAT(y == shared, "%s differs", isa);
      }
      for (int64_t t = 0; t < shape.tokens; ++t) {
        if (threads == 1) check_token(shape, mixture, inputs, 0, shape.tokens, t, precision, y, isa);
        const std::vector<float> alone = experts(context, shape, mixture, inputs, t, 1, precision);
        if (turbo && threads == 1) check_token(shape, mixture, inputs, t, 1, t, precision, alone, isa);
        CHECK_THAT(turbo || std::equal(alone.begin(), alone.end(), y.begin() + t * shape.width),
                   "%s: token %d alone differs", isa, static_cast<int>(t));
      }
      ossia_destroy(context);
    }
  }
}

// A token with a value that is not finite gets no numbers, and those beside it what they get without: by rows, planes
// and words.
void check_not_finite() {
  for (int64_t tokens : {2, 9, 20, 60}) {
    const Case shape{OSSIA_MXFP4, tokens, 96, 64, false};
    Random random(7);
    const Mixture mixture(random, shape);
    const Inputs inputs = draw(random, shape);
    Inputs damaged = inputs;
    damaged.x[static_cast<size_t>(shape.width + 40)] = tokens % 2 == 0 ? NAN : -INFINITY;
    for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) {
      on_each_context([&](ossia_context* context) {
        const std::vector<float> wanted = experts(context, shape, mixture, inputs, 0, tokens, precision);
        const std::vector<float> found = experts(context, shape, mixture, damaged, 0, tokens, precision);
        for (int64_t i = 0; i < tokens * shape.width; ++i) {
          const bool own = i / shape.width == 1;
          const float one = found[static_cast<size_t>(i)];
          CHECK_THAT(own ? std::isnan(one) : one == wanted[static_cast<size_t>(i)], "%s, %d tokens, precision %d: %g",
                     ossia_isa(context), static_cast<int>(tokens), precision, one);
        }
      });
    }
  }
}

void check_refusals() {
  Random random(5);
  const Case shape{OSSIA_MXFP4, 1, 32, 32, true};
  const Mixture mixture(random, shape);
  std::vector<float> x(32), y(32);
  const std::vector<float> shares(kActive, 1.f);
  ossia_context* context;
  CHECK(ossia_create(1, nullptr, &context) == OSSIA_OK);
  const auto call = [&](std::vector<int32_t> chosen, int32_t adapter, const ossia_weight& down) {
    return ossia_experts(context, x.data(), 1, chosen.data(), shares.data(), kActive, &mixture.gate_up.abi, &down,
                         &mixture.gate_up_terms.abi, &mixture.down_terms.abi, &adapter, kLimit, OSSIA_EXACT, y.data());
  };
  CHECK(call({0, 1, 4}, 1, mixture.down.abi) == OSSIA_OK);
  CHECK(call({0, 5, 1}, 0, mixture.down.abi) == OSSIA_BAD_INDEX);
  CHECK(call({0, 1, -1}, 0, mixture.down.abi) == OSSIA_BAD_INDEX);
  CHECK(call({0, 1, 2}, 2, mixture.down.abi) == OSSIA_BAD_INDEX);
  ossia_weight wrong = mixture.down.abi;
  wrong.experts = 4;
  CHECK(call({0, 1, 2}, 0, wrong) == OSSIA_BAD_ARGUMENT);
  wrong = mixture.down.abi;
  wrong.scales = nullptr;
  CHECK(call({0, 1, 2}, 0, wrong) == OSSIA_BAD_ARGUMENT);
  wrong = mixture.down.abi;
  wrong.columns = 40;
  CHECK(call({0, 1, 2}, 0, wrong) == OSSIA_BAD_ARGUMENT);
  ossia_destroy(context);
}

}  // namespace

int main() {
  uint32_t seed = 1;
  for (const Case& shape : kCases) {
    for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) check_case(shape, precision, seed++);
  }
  check_not_finite();
  check_refusals();
  return failures > 0;
}
