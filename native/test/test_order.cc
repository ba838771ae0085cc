// The order of additions of MXFP4 products, to the bit: the kernels of whole numbers beside the order that
// whole_kernels.h says, and ossia_experts at every number of tokens and threads.

#include <algorithm>
#include <map>

#include "check.h"
#include "kernels.h"
#include "model_of_products.h"

using namespace ossia::test;
using ossia::Grain;

namespace {

// Rows of few tokens, panels that are not kept, planes of one group and of two small and large ones, words, panels of 8
// bits of few groups and of many, and more than planes of 23 bits take at a time.
constexpr int64_t kCounts[] = {1, 2, 3, 4, 8, 12, 14, 20, 60, 150};
constexpr int64_t kMost = 150;

// Twice a block of a row times 32 whole numbers, which float32 holds exactly.
float block_sum(const Weights& weights, int64_t row, int64_t block, const int64_t* numbers) {
  double sum = 0;
  for (int64_t i = 0; i < 32; ++i) sum += weights.at(0, row, block * 32 + i) * static_cast<double>(numbers[i]);
  return static_cast<float>(2 * sum);
}

// 23 bits, where blocks have scales of their own, and 15: sixteen sums, added as the lanes of a register are.
float in_lanes(const Weights& weights, int64_t row, const std::vector<Rounded>& blocks) {
  float lanes[ossia::kSums] = {};
  for (size_t b = 0; b < blocks.size(); ++b) {
    const int64_t block = static_cast<int64_t>(b);
    lanes[ossia::lane_of(block)] += block_sum(weights, row, block, blocks[b].numbers.data()) * blocks[b].scale;
  }
  for (int64_t half = ossia::kSums / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// 8 bits: one sum, block after block. The product with a block's scales is rounded with the addition alone.
float in_coarse_order(const Weights& weights, int64_t row, const Rounded& token, const std::vector<Rounded>& blocks) {
  float sum = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const float product = block_sum(weights, row, static_cast<int64_t>(b), blocks[b].numbers.data());
    sum = std::fmaf(product, blocks[b].scale, sum);
  }
  return sum * (token.scale / 2);
}

struct alignas(64) Line {
  char bytes[64];
};

// y [tokens, rows] of the kernels.
std::vector<float> products(const ossia::Kernels& kernels, const Weights& weights, const std::vector<float>& x,
                            int64_t tokens, Grain grain) {
  const int64_t columns = weights.abi.columns, lines = kernels.whole_bytes(columns, grain) / 64;
  std::vector<Line> packed(static_cast<size_t>(tokens * lines)), run(packed.size());
  std::vector<const void*> rows;
  for (int64_t t = 0; t < tokens; ++t) {
    kernels.whole_pack(&x[static_cast<size_t>(t * columns)], columns, grain, &packed[static_cast<size_t>(t * lines)]);
    rows.push_back(&packed[static_cast<size_t>(t * lines)]);
  }
  kernels.whole_arrange(rows.data(), tokens, columns, grain, run.data());
  std::vector<float> y(static_cast<size_t>(tokens * weights.abi.rows));
  kernels.whole_products(ossia::matrix_of(weights.abi, 0), 0, weights.abi.rows, run.data(), tokens, grain, y.data(),
                         weights.abi.rows);
  return y;
}

// Block by block a token's numbers, of which each block has a scale; of 15 and 8 bits in units of the token's.
struct Token {
  Rounded whole;
  std::vector<Rounded> fine, middle, coarse;

  Token(const float* x, int64_t columns) : whole(x, columns, kMiddle) {
    for (int64_t first = 0; first < columns; first += 32) {
      fine.emplace_back(x + first, 32, kFine);
      fine.back().scale /= 2;
      middle.push_back(whole);
      middle.back().scale = 1;
      middle.back().numbers.assign(whole.numbers.begin() + first, whole.numbers.begin() + first + 32);
      coarse.push_back(coarser(whole, first, 32));
    }
  }
  float product(const Weights& weights, int64_t row, Grain grain, bool few) const {
    if (grain == Grain::kFine) return in_lanes(weights, row, fine);
    if (grain == Grain::kMiddle || few) return in_lanes(weights, row, middle) * (whole.scale / 2);
    return in_coarse_order(weights, row, whole, coarse);
  }
};

// Every number of tokens beside the order that is promised.
void check_order(const ossia::Kernels& kernels, const Weights& weights, const std::vector<float>& x, Grain grain) {
  const int64_t columns = weights.abi.columns, rows = weights.abi.rows;
  std::vector<float> of_few, of_many;
  for (int64_t t = 0; t < kMost; ++t) {
    const Token token(&x[static_cast<size_t>(t * columns)], columns);
    for (int64_t row = 0; row < rows; ++row) {
      of_few.push_back(token.product(weights, row, grain, true));
      of_many.push_back(token.product(weights, row, grain, false));
    }
  }
  for (int64_t tokens : kCounts) {
    const std::vector<float>& wanted = tokens > ossia::kFewTokens ? of_many : of_few;
    const std::vector<float> y = products(kernels, weights, x, tokens, grain);
    CHECK_THAT(std::equal(y.begin(), y.end(), wanted.begin()), "%d columns, %d tokens, grain %d",
               static_cast<int>(columns), static_cast<int>(tokens), static_cast<int>(grain));
  }
}

// A narrow row, one of 20b's width, and one of more than the blocks that are kept decoded at a time.
void check_orders() {
  const ossia::Kernels* kernels = ossia::choose_kernels("avx512bf16");
  if (kernels == nullptr || kernels->whole_products == nullptr) return;
  for (int64_t columns : {96, 2880, 3200}) {
    Random random(static_cast<uint32_t>(columns));
    const Weights weights(random, OSSIA_MXFP4, 1, 32, columns, false);
    const std::vector<float> x = random.normals(kMost * columns);
    for (Grain grain : {Grain::kFine, Grain::kMiddle, Grain::kCoarse}) check_order(*kernels, weights, x, grain);
  }
}

// Blocks whose products are as large as can be: activations of one magnitude, which are all the largest whole number,
// beside the largest weights of the same sign. Of each of 128 magnitudes between two powers of two.
void check_largest_sums() {
  const ossia::Kernels* kernels = ossia::choose_kernels("avx512bf16");
  if (kernels == nullptr || kernels->whole_products == nullptr) return;
  Random random(1);
  constexpr int64_t kColumns = 96;
  Weights weights(random, OSSIA_MXFP4, 1, 16, kColumns, false, 127, 127);
  std::fill(weights.blocks.begin(), weights.blocks.end(), uint8_t{0xF7});
  for (size_t i = 0; i < weights.dense.size(); ++i) weights.dense[i] = i % 2 == 0 ? 6 : -6;
  std::vector<float> x;
  for (int64_t t = 0; t < kMost; ++t) {
    const float magnitude = (1 + static_cast<float>(t % 128) / 128) * (t % 3 == 0 ? 1 : -1);
    for (int64_t c = 0; c < kColumns; ++c) x.push_back(c % 2 == 0 ? magnitude : -magnitude);
  }
  for (Grain grain : {Grain::kFine, Grain::kMiddle, Grain::kCoarse}) check_order(*kernels, weights, x, grain);
  const std::vector<float> y = products(*kernels, weights, x, kMost, Grain::kFine);
  for (size_t i = 0; i < y.size(); ++i) {
    const double wanted = 6. * kColumns * x[i / 16 * kColumns];
    CHECK_THAT(std::fabs(y[i] - wanted) <= 1e-6 * std::fabs(wanted), "%g for %g", y[i], wanted);
  }
}

// One expert, which all tokens choose.
struct Expert {
  Weights gate_up, down;

  Expert(Random& random, int64_t width, int64_t inner)
      : gate_up(random, OSSIA_MXFP4, 1, 2 * inner, width, true), down(random, OSSIA_MXFP4, 1, width, inner, true) {}

  // Of `tokens` rows of x from row `first` on.
  std::vector<float> outputs(ossia_context* context, const std::vector<float>& x, int64_t first, int64_t tokens,
                             int32_t precision) const {
    const std::vector<int32_t> chosen(static_cast<size_t>(tokens), 0);
    const std::vector<float> shares(static_cast<size_t>(tokens), 0.75f);
    std::vector<float> y(static_cast<size_t>(tokens * down.abi.rows), NAN);
    CHECK(ossia_experts(context, &x[static_cast<size_t>(first * down.abi.rows)], tokens, chosen.data(), shares.data(),
                        1, &gate_up.abi, &down.abi, nullptr, nullptr, nullptr, 7, precision, y.data()) == OSSIA_OK);
    return y;
  }
};

// How the inputs of so many tokens of an expert are rounded; OSSIA_MXFP4 stands for 15 bits. What is rounded alike has
// the same bits, at any precision.
int32_t rounding_of(const char* isa, int32_t precision, int64_t tokens) {
  const ossia::ExpertRounding rounding = ossia::expert_rounding(*ossia::choose_kernels(isa), precision);
  return tokens <= rounding.whole_tokens ? OSSIA_MXFP4 : rounding.rest;
}

// All numbers of tokens together, and some tokens alone, by how they are rounded: the same bits as `known` has, [T, D]
// by rounding, which takes what it has not.
void check_company(ossia_context* context, const Expert& expert, const std::vector<float>& x, int32_t precision,
                   std::map<int32_t, std::vector<float>>& known) {
  const char* isa = ossia_isa(context);
  const auto check = [&](int64_t first, int64_t tokens) {
    const std::vector<float> y = expert.outputs(context, x, first, tokens, precision);
    std::vector<float>& same = known[rounding_of(isa, precision, tokens)];
    const size_t begin = static_cast<size_t>(first * expert.down.abi.rows), end = begin + y.size();
    if (first == 0 && same.size() < end)
      same.insert(same.end(), y.begin() + static_cast<int64_t>(same.size()), y.end());
    if (same.size() < end) return;
    CHECK_THAT(std::equal(y.begin(), y.end(), same.begin() + static_cast<int64_t>(begin)),
               "%s, precision %d, %d threads: %d tokens from %d on", isa, precision, ossia_threads(context),
               static_cast<int>(tokens), static_cast<int>(first));
  };
  for (int64_t tokens : kCounts) check(0, tokens);
  for (int64_t token : {2, 7, 59, 149}) check(token, 1);
}

// On each instruction set one, two and three threads, at experts of 20b's width on either side and at a narrow one.
// Activations are rounded between both products, which hides nearly all that the first one's sums differ by: the order
// of long sums shows in the second.
void check_companies() {
  constexpr int64_t kShapes[][2] = {{96, 2880}, {2880, 64}, {96, 96}};
  for (const auto& [width, inner] : kShapes) {
    Random random(static_cast<uint32_t>(width));
    const Expert expert(random, width, inner);
    const std::vector<float> x = random.normals(kMost * width);
    for (const char* isa : kIsas) {
      std::map<int32_t, std::vector<float>> known;
      for (int threads : {1, 2, 3}) {
        ossia_context* context;
        if (ossia_create(threads, isa, &context) != OSSIA_OK) continue;
        for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) {
          // Without whole numbers `exact` has one order, which test_experts looks at.
          const bool floats = precision == OSSIA_EXACT && !ossia::has_fine_products(*ossia::choose_kernels(isa), 0);
          if (!floats) check_company(context, expert, x, precision, known);
        }
        ossia_destroy(context);
      }
    }
  }
}

}  // namespace

int main() {
  check_orders();
  check_largest_sums();
  check_companies();
  return failures > 0;
}
