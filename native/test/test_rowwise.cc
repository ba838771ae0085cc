// The norm, the rotary turn and the choice of experts, every element of them, against the definition in double or in
// the operations that ossia.h states; the same bits for any batch and thread count; and what is refused.

#include <algorithm>
#include <numeric>
#include <string>

#include "check.h"
#include "model_of_products.h"

using namespace ossia::test;

namespace {

// Rows and their width. The last is enough work for several chunks.
constexpr int64_t kShapes[][2] = {{3, 1}, {5, 15}, {2, 16}, {7, 34}, {1, 90}, {13, 2880}};

// A result of `width` numbers a row, computed for `count` rows from row `first` on.
template <class F>
std::vector<float> whole(int64_t rows, int64_t width, F compute, const char* isa) {
  std::vector<float> y(static_cast<size_t>(rows * width), NAN);
  compute(0, rows, y.data());
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> alone(static_cast<size_t>(width), NAN);
    compute(row, 1, alone.data());
    CHECK_THAT(std::memcmp(alone.data(), &y[static_cast<size_t>(row * width)], alone.size() * sizeof(float)) == 0,
               "%s: row %d alone differs", isa, static_cast<int>(row));
  }
  return y;
}

// Roundings: a square and its sum for each of width / 16 and the tree, the division by the width and the addition of
// `eps`, all of which the root halves; then the root, a division and a product.
void norms(ossia_context* context, int64_t rows, int64_t width, std::vector<float>& fused) {
  const char* isa = ossia_isa(context);
  const float eps = 1e-5f;
  const std::vector<float> x = Random(9).normals(rows * width), scale = Random(10).normals(width);
  const auto compute = [&](int64_t first, int64_t count, float* y) {
    CHECK(ossia_rms_norm(context, &x[static_cast<size_t>(first * width)], scale.data(), count, width, eps, y) ==
          OSSIA_OK);
  };
  const std::vector<float> y = whole(rows, width, compute, isa);
  const double units = (static_cast<double>(width) / 16 + 8) / 2 + 3;
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t column = i % static_cast<size_t>(width);
    const float* row = &x[i - column];
    const double squares = std::inner_product(row, row + width, row, 0.0);
    const double wanted = x[i] / std::sqrt(squares / static_cast<double>(width) + double{eps}) * scale[column];
    CHECK_THAT(std::fabs(y[i] - wanted) <= std::ldexp(units, -24) * std::fabs(wanted), "%s: %g for %g", isa, y[i],
               wanted);
  }
  if (!shares_bits(isa, OSSIA_F32, false)) return;
  if (fused.empty()) fused = y;
  CHECK_THAT(y == fused, "%s differs", isa);
}

// Two products and a difference or a sum, each rounded.
void turns(ossia_context* context, int64_t tokens, int64_t width) {
  constexpr int64_t kHeads = 3;
  const int64_t half = width / 2, size = kHeads * width;
  const std::vector<float> x = Random(11).normals(tokens * size), cos = Random(12).normals(tokens * half),
                           sin = Random(13).normals(tokens * half);
  const auto compute = [&](int64_t first, int64_t count, float* y) {
    CHECK(ossia_rope(context, x.data() + first * size, cos.data() + first * half, sin.data() + first * half, count,
                     kHeads, width, y) == OSSIA_OK);
  };
  const std::vector<float> y = whole(tokens, size, compute, ossia_isa(context));
  for (size_t i = 0; i < y.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i), e = at % width;
    const size_t angle = static_cast<size_t>(at / size * half + e % half);
    const float a = x[i] * cos[angle];
    const float b = x[static_cast<size_t>(e < half ? at + half : at - half)] * sin[angle];
    CHECK_THAT(y[i] == (e < half ? a - b : a + b), "%s: element %d", ossia_isa(context), static_cast<int>(i));
  }
}

// The places of the `active` best, the lower one among equals; NaN as the least.
std::vector<int32_t> best(const float* scores, int64_t experts, int64_t active) {
  const auto score = [&](int32_t i) { return std::isnan(scores[i]) ? -INFINITY : scores[i]; };
  std::vector<int32_t> order(static_cast<size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
  order.resize(static_cast<size_t>(active));
  return order;
}

// A weight's exponential is within two units in the last place, which are four roundings, and its argument is rounded;
// the sum has them too, and a rounding for each addition; then a division.
void check_shares(const float* scores, const std::vector<int32_t>& chosen, const float* shares, const char* isa) {
  const double largest = scores[chosen[0]];
  double sum = 0, widest = 0;
  for (int32_t expert : chosen) {
    sum += std::exp(scores[expert] - largest);
    if (std::isfinite(scores[expert])) widest = std::max(widest, largest - scores[expert]);
  }
  const double units = 2 * (4 + widest) + static_cast<double>(chosen.size()) + 1;
  for (size_t a = 0; a < chosen.size(); ++a) {
    const double wanted = std::exp(scores[chosen[a]] - largest) / sum;
    CHECK_THAT(std::fabs(shares[a] - wanted) <= std::ldexp(units, -24) * wanted, "%s: share %g for %g", isa, shares[a],
               wanted);
  }
}

void choices(ossia_context* context, int64_t tokens, int64_t experts, int64_t active) {
  std::vector<float> scores = Random(14).normals(tokens * experts);
  for (float& score : scores) score = std::nearbyint(score * 8) / 4;  // with equals among them
  std::vector<int32_t> chosen(static_cast<size_t>(tokens * active), -1);
  const auto compute = [&](int64_t first, int64_t count, float* shares) {
    CHECK(ossia_choose(context, scores.data() + first * experts, count, experts, active, chosen.data() + first * active,
                       shares) == OSSIA_OK);
  };
  const std::vector<float> shares = whole(tokens, active, compute, ossia_isa(context));
  for (int64_t t = 0; t < tokens; ++t) {
    const std::vector<int32_t> wanted = best(&scores[static_cast<size_t>(t * experts)], experts, active);
    CHECK_THAT(std::equal(wanted.begin(), wanted.end(), chosen.begin() + t * active), "%s: token %d",
               ossia_isa(context), static_cast<int>(t));
    check_shares(&scores[static_cast<size_t>(t * experts)], wanted, &shares[static_cast<size_t>(t * active)],
                 ossia_isa(context));
  }
}

// A score that is no number is not chosen before others, and leaves no share a number; -infinity weighs nothing.
void scores_that_are_none(ossia_context* context) {
  int32_t chosen[3];
  float shares[3];
  const float infinite[] = {-INFINITY, 1.f, -INFINITY, 2.f};
  CHECK(ossia_choose(context, infinite, 1, 4, 3, chosen, shares) == OSSIA_OK);
  CHECK(chosen[0] == 3 && chosen[1] == 1 && chosen[2] == 0 && shares[2] == 0.f);
  check_shares(infinite, {3, 1, 0}, shares, ossia_isa(context));
  const float scores[] = {1.f, 2.f, NAN, 2.f, -INFINITY};
  CHECK(ossia_choose(context, scores, 1, 5, 3, chosen, shares) == OSSIA_OK);
  CHECK(chosen[0] == 1 && chosen[1] == 3 && chosen[2] == 0);
  CHECK(std::isnan(shares[0]) && std::isnan(shares[1]) && std::isnan(shares[2]));
}

void refusals(ossia_context* context) {
  float x[8] = {}, y[8];
  int32_t chosen[8];
  CHECK(ossia_choose(context, x, 1, 5, 6, chosen, y) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_choose(context, x, 1, 5, 0, chosen, y) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_rope(context, x, x, x, 1, 1, 7, y) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_rms_norm(context, x, x, 1, 0, 1e-5f, y) == OSSIA_BAD_ARGUMENT);
  CHECK(ossia_rms_norm(context, x, x, -1, 8, 1e-5f, y) == OSSIA_BAD_ARGUMENT);
}

}  // namespace

int main() {
  std::vector<float> fused[std::size(kShapes)];
  on_each_context([&](ossia_context* context) {
    for (size_t i = 0; i < std::size(kShapes); ++i) {
      const auto [rows, width] = kShapes[i];
      norms(context, rows, width, fused[i]);
      turns(context, rows, width + width % 2);
    }
    choices(context, 9, 1, 1);
    choices(context, 70, 32, 4);
    choices(context, 150, 128, 4);
    choices(context, 5, 37, 37);
    scores_that_are_none(context);
    refusals(context);
  });
  return failures > 0;
}
