// ossia_sample against the definition in double, the same draws for any thread count, and what is refused.

#include <algorithm>
#include <cmath>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

// One row's wishes, and the struct that says them.
struct Wish {
  float temperature = 0.f;
  int32_t top_k = 0;
  float top_p = 1.f, min_p = 0.f;
  uint64_t seed = 3;
  int64_t position = 11;
  int32_t starts[2] = {0, 0};
  std::vector<int32_t> tokens;
  std::vector<float> values;
  std::vector<uint32_t> mask;
  int64_t top_logprobs = 0;
  int32_t logprobs = 0;

  ossia_draw abi() {
    starts[1] = static_cast<int32_t>(tokens.size());
    return {&temperature,
            &top_k,
            &top_p,
            &min_p,
            &seed,
            &position,
            starts,
            tokens.data(),
            values.data(),
            mask.empty() ? nullptr : mask.data(),
            static_cast<int64_t>(mask.size()),
            top_logprobs,
            logprobs};
  }
};

int32_t sample(ossia_context* context, const std::vector<float>& logits, Wish wish, int32_t& token) {
  const ossia_draw draw = wish.abi();
  token = -7;
  return ossia_sample(context, logits.data(), 1, static_cast<int64_t>(logits.size()), &draw, &token, nullptr, nullptr,
                      nullptr);
}

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

double noise(const Wish& wish, uint64_t token) {
  const uint64_t golden = 0x9E3779B97F4A7C15;
  const uint64_t key = mix(wish.seed + golden * mix(static_cast<uint64_t>(wish.position)));
  const uint32_t high = static_cast<uint32_t>(mix(key + golden * token) >> 32);
  const float v = std::min(static_cast<float>((high + 0.5) * 0x1p-32), 1.f - 0x1p-24f);
  return -std::log(-std::log1p(-static_cast<double>(v)));
}

void draws_are_the_largest(ossia_context* context) {
  Random random(21);
  for (int64_t size : {1, 15, 16, 17, 8191, 8192, 8193, 30000}) {
    const std::vector<float> logits = random.normals(size);
    for (float temperature : {0.f, 0.5f, 3.f}) {
      Wish wish;
      wish.temperature = temperature;
      int32_t token;
      CHECK(sample(context, logits, wish, token) == OSSIA_OK);
      const auto score = [&](int64_t i) {
        const double logit = logits[static_cast<size_t>(i)];
        return temperature == 0.f ? logit : logit / temperature + noise(wish, static_cast<uint64_t>(i));
      };
      double best = -INFINITY;
      for (int64_t i = 0; i < size; ++i) best = std::max(best, score(i));
      CHECK_THAT(token >= 0 && token < size && score(token) > best - 1e-4, "%d of %d", token, static_cast<int>(size));
    }
  }
}

void filters_keep_the_best(ossia_context* context) {
  // Weights 1/2, 1/4, 1/8 ... in an order without any order, ties at the end.
  std::vector<float> logits(100);
  for (int i = 0; i < 100; ++i)
    logits[static_cast<size_t>(i * 37 % 100)] = -std::log(2.f) * static_cast<float>(std::min(i, 40));
  const auto rank = [&](int32_t token) {
    int before = 0;
    for (int i = 0; i < 100; ++i) before += logits[static_cast<size_t>(i)] > logits[static_cast<size_t>(token)];
    return before;
  };
  for (uint64_t seed = 0; seed < 300; ++seed) {
    int32_t token;
    Wish wish;
    wish.temperature = 4.f, wish.seed = seed, wish.top_k = 3;
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && rank(token) < 3);
    wish.top_k = 0, wish.min_p = 0.4f;  // at temperature 4 neighbours weigh 2^(-1/4): 0.4 lies between the 6th and 7th
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && rank(token) < 6);
    wish.temperature = 1.f, wish.min_p = 0.f, wish.top_p = 0.7f;  // 1/2 + 1/4
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && rank(token) < 2);
    wish.top_p = 0.f;
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && rank(token) == 0);
  }
}

void masks_and_biases_forbid(ossia_context* context) {
  const std::vector<float> logits = Random(4).normals(9000);
  for (float temperature : {0.f, 1.f}) {
    int32_t token;
    Wish wish;
    wish.temperature = temperature;
    wish.mask.assign(282, 0);
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && token == -1);
    wish.mask[8999 / 32] = 1u << 8999 % 32;
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && token == 8999);
    wish.tokens = {8999}, wish.values = {-INFINITY};
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && token == -1);
    wish.mask.clear(), wish.tokens = {5, 5}, wish.values = {500.f, 500.f};
    CHECK(sample(context, logits, wish, token) == OSSIA_OK && token == 5);
  }
}

void numbers_that_are_none(ossia_context* context) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    for (int32_t top_k : {0, 5}) {
      for (float temperature : {0.f, 1e-30f, 1.f}) {
        Wish wish;
        wish.temperature = temperature, wish.top_k = top_k;
        int32_t token;
        CHECK(sample(context, std::vector<float>(100, bad), wish, token) == OSSIA_OK);
        CHECK(bad > 0 ? token >= 0 && token < 100 : token == -1);
      }
    }
  }
}

void logprobs_sum_to_one(ossia_context* context) {
  const int64_t size = 20000;
  const std::vector<float> logits = Random(8).normals(size);
  Wish wish;
  wish.logprobs = 1, wish.top_logprobs = size;
  const ossia_draw draw = wish.abi();
  int32_t token;
  float logprob;
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  std::vector<float> values(static_cast<size_t>(size));
  CHECK(ossia_sample(context, logits.data(), 1, size, &draw, &token, &logprob, tokens.data(), values.data()) ==
        OSSIA_OK);
  CHECK(token == tokens[0] && logprob == values[0]);
  double sum = 0;
  for (float value : values) sum += std::exp(static_cast<double>(value));
  CHECK_THAT(std::fabs(sum - 1) < 1e-5, "%g", sum);
  CHECK(std::is_sorted(values.rbegin(), values.rend()));
  std::sort(tokens.begin(), tokens.end());
  for (int64_t i = 0; i < size; ++i) CHECK(tokens[static_cast<size_t>(i)] == i);
}

void refusals(ossia_context* context) {
  const std::vector<float> logits(40, 0.f);
  const auto status_of = [&](auto change) {
    Wish wish;
    change(wish);
    int32_t token;
    return sample(context, logits, wish, token);
  };
  for (float bad : {-1.f, NAN, INFINITY}) {
    CHECK(status_of([&](Wish& w) { w.temperature = bad; }) == OSSIA_BAD_ARGUMENT);
  }
  CHECK(status_of([](Wish& w) { w.top_k = -1; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.mask = {1}; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.top_logprobs = 41; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.tokens = {40}, w.values = {1.f}; }) == OSSIA_BAD_INDEX);
  CHECK(status_of([](Wish& w) { w.tokens = {-1}, w.values = {1.f}; }) == OSSIA_BAD_INDEX);
}

}  // namespace

int main() {
  on_each_context([&](ossia_context* context) {
    draws_are_the_largest(context);
    filters_keep_the_best(context);
    masks_and_biases_forbid(context);
    numbers_that_are_none(context);
    logprobs_sum_to_one(context);
    refusals(context);
  });
  return failures > 0;
}
