// Compiled with the flags of avx512bf16 and AVX512_VBMI.

#include "whole_kernels.h"

#include "platform.h"
#include "whole_forms.h"

namespace ossia::whole {
namespace {

// Whether a run goes row by row: of more tokens panels are decoded once. Coarse numbers are those of panels.
bool goes_by_rows(int64_t tokens, Grain grain) {
  if (grain == Grain::kCoarse) return tokens <= kFewTokens;
  return tokens <= (adds_apart() ? kMostByRowsApart : kMostByRows);
}

// The groups of a run that goes by panels: of so few that blocks are met fresh, where that is faster.
TokenGroups groups_of(int64_t tokens, Grain grain) {
  const int64_t most_fresh = grain != Grain::kMiddle && adds_apart() ? kMostFreshApart : kMostFresh;
  return {tokens, tokens <= most_fresh ? kMostFresh : kMostGrouped};
}

// Whether it goes by panels in bytes. Fine numbers, which are no words, always do.
bool goes_by_planes(const TokenGroups& groups, int64_t blocks, Grain grain) {
  if (grain != Grain::kMiddle) return grain == Grain::kFine;
  const int64_t most = adds_apart() ? planes::kMostGroups : kFewGroups;
  return groups.count <= most && blocks <= planes::kMostBlocks;
}

// Runs of fine numbers that are too long for panels in bytes come in parts: body(first token, tokens).
template <class F>
void each_part(int64_t tokens, Grain grain, F&& body) {
  const int64_t most = grain == Grain::kFine ? planes::kMostGroups * kMostGrouped : tokens;
  for (int64_t t = 0; t < tokens; t += most) body(t, least(most, tokens - t));
}

template <class Form>
void arrange_part(const void* const* rows, int64_t tokens, int64_t blocks, Grain grain, char* to) {
  if (goes_by_rows(tokens, grain)) {
    for (int64_t t = 0; t < tokens; ++t) few::arrange<Form>(rows[t], blocks, to + t * few::bytes<Form>(blocks));
    return;
  }
  const TokenGroups groups = groups_of(tokens, grain);
  const bool by_planes = goes_by_planes(groups, blocks, grain);
  for (int64_t g = 0; g < groups.count; ++g) {
    const int64_t begin = groups.begin(g), count = groups.begin(g + 1) - begin;
    if (by_planes) {
      planes::arrange<Form>(rows + begin, count, blocks, to + begin * planes::bytes<Form>(blocks));
    } else {
      group::arrange(rows + begin, count, blocks, grain == Grain::kCoarse, to + begin * group::bytes(blocks));
    }
  }
}

template <class Form>
void products_part(const Rows& rows, const char* from, int64_t tokens, Grain grain, float* y, int64_t stride) {
  if (goes_by_rows(tokens, grain)) return few::products<Form>(rows, from, tokens, y, stride);
  const TokenGroups groups = groups_of(tokens, grain);
  if (goes_by_planes(groups, rows.all.row_blocks, grain)) {
    return planes::products<Form>(rows, from, groups, y, stride);
  }
  group::products(rows, from, groups, grain == Grain::kCoarse, y, stride);
}

template <class Form>
int64_t most_bytes(int64_t blocks, int64_t more) {
  const int64_t bytes[] = {Form::row_bytes(blocks), few::bytes<Form>(blocks), planes::bytes<Form>(blocks)};
  for (int64_t each : bytes) more = each > more ? each : more;
  return more;
}

}  // namespace

int64_t bytes(int64_t columns, Grain grain) {
  const int64_t blocks = columns / kBlock;
  return grain == Grain::kFine ? most_bytes<Fine>(blocks, 0) : most_bytes<Middle>(blocks, group::bytes(blocks));
}

void pack(const float* x, int64_t columns, Grain grain, void* row) {
  (grain == Grain::kFine ? Fine::pack : Middle::pack)(x, columns / kBlock, row);
}

void arrange(const void* const* rows, int64_t tokens, int64_t columns, Grain grain, void* run) {
  const int64_t blocks = columns / kBlock, size = bytes(columns, grain);
  const auto arrange_as = grain == Grain::kFine ? arrange_part<Fine> : arrange_part<Middle>;
  each_part(tokens, grain, [&](int64_t first, int64_t count) {
    arrange_as(rows + first, count, blocks, grain, static_cast<char*>(run) + first * size);
  });
}

void products(const Matrix& matrix, int64_t first, int64_t rows, const void* run, int64_t tokens, Grain grain, float* y,
              int64_t stride) {
  const int64_t blocks = matrix.columns / kBlock, size = bytes(matrix.columns, grain);
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, blocks};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, blocks};
  const Rows some{all.from(first), next, rows};
  const auto products_as = grain == Grain::kFine ? products_part<Fine> : products_part<Middle>;
  each_part(tokens, grain, [&](int64_t part, int64_t count) {
    products_as(some, static_cast<const char*>(run) + part * size, count, grain, y + part * stride, stride);
  });
}

}  // namespace ossia::whole
