// MXFP4 scale bytes in ossia_experts: at both ends of their range, and on either side of 128 on every path by which the
// tokens of one expert can go.

#include <algorithm>
#include <string>

#include "check.h"
#include "kernels.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

// Blocks of more than one span of what is kept of a panel.
constexpr int64_t kWidth = 32, kInner = 1120;
// Of rows in turn. Above 231, sums may leave float32's range (whole_kernels.h); below 8, a product's exponent cannot be
// the sum of two. The last four are the same.
constexpr int kBytes[] = {0, 1, 127, 128, 200, 231}, kMiddle[] = {8, 9, 127, 128, 200, 231};
constexpr float kNoLimit = 64;

// All tokens at the one expert, y [T, 32] of x [T, 32].
void experts(ossia_context* context, const Weights& gate_up, const Weights& down, const std::vector<float>& x,
             int32_t precision, std::vector<float>& y) {
  const size_t tokens = x.size() / kWidth;
  const std::vector<int32_t> chosen(tokens, 0);
  const std::vector<float> shares(tokens, 1.f);
  CHECK(ossia_experts(context, x.data(), static_cast<int64_t>(tokens), chosen.data(), shares.data(), 1, &gate_up.abi,
                      &down.abi, nullptr, nullptr, nullptr, kNoLimit, precision, y.data()) == OSSIA_OK);
}

// The products of an activation a with weights of which only column 0 counts; `weight` is [32, 32].
void check_products_of_one(const char* isa, int scale, const Weights& weight, float a, const std::vector<float>& y) {
  const bool whole = ossia::has_fine_products(*ossia::choose_kernels(isa), 32);
  for (size_t n = 0; n < y.size(); ++n) {
    const auto at = [&](int column) { return weight.at(0, static_cast<int64_t>(n % 32), column); };
    // In float32 an infinite weight times zero is NaN, as it is in the definition; whole numbers have no such weights.
    bool infinite = std::isinf(static_cast<float>(at(0) * a));
    for (int column = 0; !whole && column < 32; ++column) infinite |= std::isinf(static_cast<float>(at(column)));
    const float wanted = whole && scale == 0 ? 0 : static_cast<float>(at(0) * a);
    const bool right =
        infinite ? !std::isfinite(y[n]) : std::fabs(y[n] - wanted) <= 4e-7f * std::fabs(wanted) + 1.5e-45f;
    CHECK_THAT(right, "%s scale %d: %g for %g", isa, scale, y[n], wanted);
  }
}

// Subnormal weights (scale byte 0) and those beyond float32 (253, 254) come out as the definition has them.
void check_scales_at_both_ends() {
  for (int scale : {0, 1, 2, 252, 253, 254}) {
    Random random(11);
    Weights gate_up(random, OSSIA_MXFP4, 1, 64, 32, false, 127, 127);
    const Weights down(random, OSSIA_MXFP4, 1, 32, 32, false, scale, scale);
    // One activation of 1 (gate 1 / sigmoid(1.702), up 0) would hide nothing, but any nonzero one will do: only row 0
    // of gate and of up is nonzero, so a[0] alone is, and each output is one product.
    std::fill(gate_up.blocks.begin(), gate_up.blocks.end(), uint8_t{0});
    gate_up.blocks[0] = 0x2;  // gate 0 = x[0]
    for (size_t tokens : {1, 8}) {
      std::vector<float> x(tokens * 32), y(tokens * 32);
      for (size_t t = 0; t < tokens; ++t) x[t * 32] = 1;
      on_each_context([&](ossia_context* context) {
        experts(context, gate_up, down, x, OSSIA_EXACT, y);
        check_products_of_one(ossia_isa(context), scale, down, static_cast<float>(1 / (1 + std::exp(-1.702))), y);
      });
    }
  }
}

// The column of x that activation j is made of: all columns in each block of activations, in an order of its own.
int64_t column_of(int64_t j) { return (5 * j + j / 32) % kWidth; }

// Tokens whose activations no precision rounds. Beside `Gates` every gate is 4 x[0] = 16, whose sigmoid float32 cannot
// tell from 1, so that activation j is 16 (x[column_of(j)] + 1): twice a whole number from -119 to 127. Both ends are
// in each block, and so are those of x, -127 to 119 eighths, in each token: the units of 15 and of 8 bits are powers of
// two.
std::vector<float> draw(Random& random, int64_t tokens) {
  std::vector<float> x;
  for (int64_t i = 0; i < tokens * kWidth; ++i) x.push_back(static_cast<float>(random.below(247) - 127) / 8);
  for (int64_t t = 0; t < tokens * kWidth; t += kWidth) {
    x[static_cast<size_t>(t)] = 4;
    x[static_cast<size_t>(t) + 1] = -127.f / 8;
    x[static_cast<size_t>(t) + 2] = 119.f / 8;
  }
  return x;
}

std::vector<float> activations(const float* x) {
  std::vector<float> a;
  for (int64_t j = 0; j < kInner; ++j) a.push_back(16 * (x[column_of(j)] + 1));
  return a;
}

// One weight in each row: 4 at column 0 of a gate, 1 at column_of(j) of row j of the rest.
struct Gates : Weights {
  explicit Gates(Random& random) : Weights(random, OSSIA_MXFP4, 1, 2 * kInner, kWidth, false, 127, 127) {
    std::fill(blocks.begin(), blocks.end(), uint8_t{0});
    for (int64_t j = 0; j < kInner; ++j) {
      blocks[static_cast<size_t>(2 * j * 16)] = 0x6;
      blocks[static_cast<size_t>((2 * j + 1) * 16 + column_of(j) / 2)] = column_of(j) % 2 == 0 ? 0x02 : 0x20;
    }
  }
};

// A row's blocks have one scale byte, so that no row's larger products hide smaller ones.
struct Down : Weights {
  const int (&bytes)[6];

  Down(Random& random, const int (&bytes)[6])
      : Weights(random, OSSIA_MXFP4, 1, kWidth, kInner, false, 127, 127), bytes(bytes) {
    for (int64_t block = 0; block < kWidth * kInner / 32; ++block) {
      const int byte = byte_of(block / (kInner / 32));
      scales[static_cast<size_t>(block)] = static_cast<uint8_t>(byte);
      for (int64_t i = 32 * block; i < 32 * (block + 1); ++i)
        dense[static_cast<size_t>(i)] = std::ldexp(dense[static_cast<size_t>(i)], byte - 127);
    }
  }
  int byte_of(int64_t row) const { return bytes[row % 6]; }
};

// How one expert's products are made.
struct Path {
  bool whole;    // activations are whole numbers, and weights under byte 0 count as 0
  bool flushes;  // the processor's products of bfloat16, whose subnormal numbers count as 0
};

Path path_of(const std::string& isa, int32_t precision, int64_t tokens) {
  const ossia::Kernels& kernels = *ossia::choose_kernels(isa.c_str());
  if (precision == OSSIA_EXACT) return {ossia::has_fine_products(kernels, kInner), false};
  const ossia::ExpertRounding rounding = ossia::expert_rounding(kernels, precision);
  const bool whole = tokens <= rounding.whole_tokens || rounding.rest == OSSIA_INT8;
  return {whole, !whole && (isa == "amx" || isa == "zen4" || isa == "avx512bf16")};
}

// What a sum in float32 may lose: by its roundings, of numbers too small for its precision, too; and where these are
// flushed, by each weight and each sum below 2^-126.
double allowed(const Down& down, int64_t row, const std::vector<float>& a, const Bounded& wanted, const Path& path) {
  double lost = roundings(kInner) * (std::ldexp(wanted.magnitude, -24) + std::ldexp(1, -149));
  if (path.whole && down.byte_of(row) == 0) return 0;
  for (int64_t j = 0; path.flushes && j < kInner; ++j) {
    const double weight = std::fabs(down.at(0, row, j));
    lost += std::ldexp(1, -126);
    if (weight < std::ldexp(1, -126)) lost += weight * std::fabs(a[static_cast<size_t>(j)]);
  }
  return lost;
}

void check_token(const char* isa, int32_t precision, int64_t tokens, const Down& down, const float* x, const float* y) {
  const std::vector<float> a = activations(x);
  const Path path = path_of(isa, precision, tokens);
  for (int64_t row = 0; row < kWidth; ++row) {
    const Bounded wanted = product(down, 0, row, a.data(), false);
    const double value = path.whole && down.byte_of(row) == 0 ? 0 : wanted.value;
    const double most = allowed(down, row, a, wanted, path);
    CHECK_THAT(std::fabs(y[row] - value) <= most, "%s, precision %d, %d tokens, scale byte %d: %g for %g +- %g", isa,
               precision, static_cast<int>(tokens), down.byte_of(row), y[row], value, most);
  }
}

// Rows of few tokens, planes of one group and of two, words, and panels of 8 bits of few groups and of many; and rows
// have the same bits beside others of any scale.
void check_scales_on_every_path() {
  Random random(13), same(17), again(17);
  const Gates gates(random);
  const Down all(same, kBytes), middle(again, kMiddle);
  for (int64_t tokens : {1, 3, 8, 20, 60, 150}) {
    const std::vector<float> x = draw(random, tokens);
    on_each_context([&](ossia_context* context) {
      for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) {
        std::vector<float> y[2] = {std::vector<float>(x.size()), std::vector<float>(x.size())};
        for (int i : {0, 1}) {
          const Down& down = i == 0 ? all : middle;
          experts(context, gates, down, x, precision, y[i]);
          for (size_t t = 0; t < x.size(); t += kWidth)
            check_token(ossia_isa(context), precision, tokens, down, &x[t], &y[i][t]);
        }
        for (size_t n = 0; n < x.size(); ++n) CHECK(n % kWidth % 6 < 2 || y[0][n] == y[1][n]);
      }
    });
  }
}

// Blocks of zeros, whose scale nothing says, are zero under any scale byte.
void check_zeros() {
  for (int scale : {0, 126, 127, 128, 254}) {
    Random random(19);
    const Weights gate_up(random, OSSIA_MXFP4, 1, 64, 32, false, scale, scale);
    const Weights down(random, OSSIA_MXFP4, 1, 32, 32, false, 126, 126);
    for (size_t tokens : {1, 8, 60}) {
      const std::vector<float> x(tokens * 32);
      std::vector<float> y(x.size(), NAN);
      on_each_context([&](ossia_context* context) {
        for (int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) {
          experts(context, gate_up, down, x, precision, y);
          for (float value : y) CHECK(scale == 254 ? value == 0 || std::isnan(value) : value == 0);
        }
      });
    }
  }
}

}  // namespace

int main() {
  check_zeros();
  check_scales_at_both_ends();
  check_scales_on_every_path();
  return failures > 0;
}
