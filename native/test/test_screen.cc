// ossia_screen and ossia_int4_screen: what they rule out changes no draw, they rule out most, the same for any thread
// count, for rows alone and together; what is refused.

#include <cmath>
#include <limits>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

constexpr int64_t kRows = 9001, kColumns = 96, kTokens = 3;

// Draws of kTokens rows with one temperature and, perhaps, a mask and a bias.
struct Wish {
  std::vector<float> temperature, top_p = {1.f, 1.f, 1.f}, min_p = {0.f, 0.f, 0.f};
  std::vector<int32_t> top_k = {0, 0, 0}, starts = {0, 0, 1, 1}, tokens = {4000};
  std::vector<uint64_t> seed = {1, 2, 3};
  std::vector<int64_t> position = {5, 6, 7};
  std::vector<float> values;
  std::vector<uint32_t> mask;
  int32_t logprobs = 0;

  Wish(float temperature, float bias) : temperature(kTokens, temperature), values{bias} {}

  int64_t rows() const { return static_cast<int64_t>(temperature.size()); }

  // Of row i alone.
  Wish alone(int64_t i) const {
    const auto one = [&](auto values) {
      const int64_t each = static_cast<int64_t>(values.size()) / rows();
      return decltype(values)(values.begin() + i * each, values.begin() + (i + 1) * each);
    };
    const size_t at = static_cast<size_t>(i);
    Wish wish = *this;
    wish.temperature = one(temperature), wish.top_p = one(top_p), wish.min_p = one(min_p), wish.top_k = one(top_k);
    wish.seed = one(seed), wish.position = one(position), wish.mask = one(mask);
    wish.starts = {0, starts[at + 1] - starts[at]};
    return wish;
  }

  ossia_draw abi() const {
    return {temperature.data(),
            top_k.data(),
            top_p.data(),
            min_p.data(),
            seed.data(),
            position.data(),
            starts.data(),
            tokens.data(),
            values.data(),
            mask.empty() ? nullptr : mask.data(),
            static_cast<int64_t>(mask.size()) / rows(),
            0,
            logprobs};
  }
};

// An unembedding, its copy, and inputs with the logits of both; by 4 bits, the unembedding in 8 and its copy in 4.
struct Case {
  bool by_4_bits;
  Random random{31};
  Weights weights{random, OSSIA_BF16, 1, kRows, kColumns, false};
  std::vector<float> x = random.normals(kTokens * kColumns);
  std::vector<char> panels = std::vector<char>(static_cast<size_t>(ossia_int8_bytes(kRows, kColumns)));
  ossia_weight copy{panels.data(), nullptr, nullptr, 1, kRows, kColumns, OSSIA_INT8};
  std::vector<char> halves = std::vector<char>(static_cast<size_t>(ossia_int4_bytes(kRows, kColumns)));
  std::vector<float> norms = std::vector<float>(kRows), logits = std::vector<float>(kTokens * kRows), copied = logits;

  Case(ossia_context* context, bool by_4_bits) : by_4_bits(by_4_bits) {
    CHECK(ossia_int8_round(context, &weights.abi, panels.data()) == OSSIA_OK);
    CHECK(ossia_int8_norms(context, &copy, norms.data()) == OSSIA_OK);
    CHECK(ossia_int4_round(context, &copy, halves.data()) == OSSIA_OK);
    CHECK(ossia_linear(context, x.data(), kTokens, &computed(), nullptr, nullptr, precision(), logits.data()) ==
          OSSIA_OK);
    CHECK(ossia_linear(context, x.data(), kTokens, &copy, nullptr, nullptr, OSSIA_FAST, copied.data()) == OSSIA_OK);
  }

  const ossia_weight& computed() const { return by_4_bits ? copy : weights.abi; }
  int32_t precision() const { return by_4_bits ? OSSIA_FAST : OSSIA_EXACT; }

  // Of the rows from `first` on that `wish` has.
  int32_t screen(ossia_context* context, const Wish& wish, std::vector<uint32_t>& wanted, int64_t first = 0) const {
    const ossia_draw draw = wish.abi();
    const float* from = x.data() + first * kColumns;
    wanted.assign((kRows + 31) / 32, 0xDEADBEEF);
    if (by_4_bits) {
      return ossia_int4_screen(context, from, wish.rows(), &copy, halves.data(), &draw, wanted.data());
    }
    return ossia_screen(context, from, wish.rows(), kColumns, copied.data() + first * kRows, norms.data(), kRows, &draw,
                        wanted.data());
  }
};

std::vector<int32_t> drawn(ossia_context* context, const std::vector<float>& logits, const Wish& wish) {
  const ossia_draw draw = wish.abi();
  std::vector<int32_t> tokens(kTokens);
  CHECK(ossia_sample(context, logits.data(), kTokens, kRows, &draw, tokens.data(), nullptr, nullptr, nullptr) ==
        OSSIA_OK);
  return tokens;
}

void rules_out(ossia_context* context, const Case& of, const Wish& wish, int64_t most) {
  std::vector<uint32_t> wanted;
  CHECK(of.screen(context, wish, wanted) == OSSIA_OK);
  std::vector<float> some(of.logits.size(), -std::numeric_limits<float>::infinity());
  CHECK(ossia_linear_rows(context, of.x.data(), kTokens, &of.computed(), wanted.data(), of.precision(), some.data()) ==
        OSSIA_OK);
  int64_t count = 0;
  for (int64_t row = 0; row < kRows; ++row) count += wanted[static_cast<size_t>(row / 32)] >> (row % 32) & 1;
  CHECK_THAT(count > 0 && count <= most, "%d wanted", static_cast<int>(count));
  CHECK(drawn(context, some, wish) == drawn(context, of.logits, wish));
}

// The kernels of one row, of two and of three are others.
void is_the_same_alone(ossia_context* context, const Case& of, const Wish& wish) {
  std::vector<uint32_t> together, alone, all((kRows + 31) / 32);
  CHECK(of.screen(context, wish, together) == OSSIA_OK);
  for (int64_t i = 0; i < kTokens; ++i) {
    CHECK(of.screen(context, wish.alone(i), alone, i) == OSSIA_OK);
    for (size_t word = 0; word < all.size(); ++word) all[word] |= alone[word];
  }
  CHECK(all == together);
}

void rules_out_most(ossia_context* context, Case& of) {
  for (float temperature : {0.f, 0.7f, 4.f}) {
    for (float bias : {0.f, 100.f, -INFINITY}) {
      Wish wish(temperature, bias);
      rules_out(context, of, wish, kRows / 8);
      wish.mask.resize(kTokens * ((kRows + 31) / 32));
      for (uint32_t& word : wish.mask) word = static_cast<uint32_t>(of.random.below(1 << 16)) * 65537u;
      rules_out(context, of, wish, kRows / 8);
      is_the_same_alone(context, of, wish);
    }
  }
}

void knows_nothing_of_what_is_no_number(ossia_context* context, Case of) {
  for (float value : {NAN, INFINITY, -INFINITY}) {
    of.x[kColumns + 3] = value;  // the second row's
    std::vector<uint32_t> wanted;
    CHECK(of.screen(context, Wish(0.f, 0.f), wanted) == OSSIA_OK);
    for (int64_t row = 0; row < kRows; ++row) CHECK((wanted[static_cast<size_t>(row / 32)] >> (row % 32) & 1) != 0);
  }
}

void refusals(ossia_context* context, const Case& of) {
  std::vector<uint32_t> wanted;
  const auto status_of = [&](auto change) {
    Wish wish(1.f, 0.f);
    change(wish);
    return of.screen(context, wish, wanted);
  };
  CHECK(status_of([](Wish& w) { w.temperature[1] = -1.f; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.top_k[2] = 3; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.top_p[0] = 0.5f; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.min_p[0] = 0.5f; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.logprobs = 1; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.mask = {1, 1, 1}; }) == OSSIA_BAD_ARGUMENT);
  CHECK(status_of([](Wish& w) { w.tokens[0] = kRows; }) == OSSIA_BAD_INDEX);
  CHECK(ossia_int8_norms(context, &of.weights.abi, nullptr) == OSSIA_BAD_ARGUMENT);
  std::vector<char> halves = of.halves;
  CHECK(ossia_int4_round(context, &of.weights.abi, halves.data()) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int4_round(context, &of.copy, nullptr) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_int4_bytes(0, 64) == 0 && ossia_int4_bytes(16, 64) == 64 + 512);
}

}  // namespace

int main() {
  on_each_context([&](ossia_context* context) {
    for (bool by_4_bits : {false, true}) {
      Case of(context, by_4_bits);
      rules_out_most(context, of);
      knows_nothing_of_what_is_no_number(context, of);
      refusals(context, of);
    }
  });
  return failures > 0;
}
