#include "low_rank.h"

#include <algorithm>

#include "matrix.h"

namespace ossia {
namespace {
// Neighbouring items of one adapter whose products are made together.
constexpr int64_t kMostTogether = 8;
}  // namespace

LowRank::LowRank(ossia_context& context, const ossia_weight& weight, const ossia_low_rank* terms, int64_t items,
                 int64_t most_rows, bool fast)
    : kernels_(context.kernels),
      threads_(context.pool.threads()),
      terms_(terms),
      items_(items),
      experts_(weight.experts),
      rows_(weight.rows),
      columns_(weight.columns),
      fast_(fast) {
  if (!any()) return;
  shrunk_bytes_ = kernels_.packed_bytes(terms->width, false);
  temporary_size_ = std::max(terms->width, most_rows * kMostTogether);
}

size_t LowRank::room() const {
  return ossia::room<char>(items_ * shrunk_bytes_) + ossia::room<float>(threads_ * temporary_size_);
}

void LowRank::take(Scratch& scratch, const int32_t* adapters) {
  adapters_ = adapters;
  shrunk_ = scratch.take<char>(items_ * shrunk_bytes_);
  temporary_ = scratch.take<float>(threads_ * temporary_size_);
}

void LowRank::shrink(int64_t item, int64_t expert, const void* packed_x, int thread) const {
  if (!any() || adapters_[item] < 0) return;
  const int64_t matrix = adapters_[item] * experts_ + expert;
  const Matrix a{terms_->a + matrix * terms_->width * columns_, nullptr, columns_, OSSIA_F32};
  float* sums = temporary(thread);
  kernels_.products(a, 0, terms_->width, fast_, &packed_x, 1, sums, terms_->width);
  kernels_.pack(sums, terms_->width, false, shrunk_ + item * shrunk_bytes_);
}

void LowRank::add(int64_t item, int64_t items, int64_t expert, int64_t first, int64_t rows, float* y, int64_t stride,
                  int thread) const {
  if (!any()) return;
  float* products = temporary(thread);
  for (int64_t begin = 0, end; begin < items; begin = end) {
    const int32_t adapter = adapters_[item + begin];
    const void* shrunk[kMostTogether];
    for (end = begin; end < items && end - begin < kMostTogether && adapters_[item + end] == adapter; ++end) {
      shrunk[end - begin] = shrunk_ + (item + end) * shrunk_bytes_;
    }
    if (adapter < 0) continue;
    const int64_t matrix = adapter * experts_ + expert;
    const Matrix b{terms_->b + matrix * rows_ * terms_->width, nullptr, terms_->width, OSSIA_F32};
    kernels_.products(b, first, rows, false, shrunk, end - begin, products, rows);
    for (int64_t i = begin; i < end; ++i) {
      kernels_.add_scaled(y + i * stride, products + (i - begin) * rows, terms_->scale[adapter], rows);
    }
  }
}

}  // namespace ossia
