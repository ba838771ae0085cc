// How near the products come to the machine's read bandwidth, and to what its arithmetic allows, at gpt-oss-20b's
// shapes.
//
//     bench_products [threads [isa [rounds]]]
//
// Weights lie in buffers much larger than the caches, and every call takes others. Bandwidth is measured in each round
// beside the products, so that a neighbour on the machine disturbs both; a figure is the median over rounds of the
// ratio within a round.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "ossia.h"
#include "platform.h"

namespace {

constexpr int64_t kWidth = 2880, kExperts = 32, kActive = 4, kRows = 16384, kMatrices = 6;
constexpr int64_t kGateUp = 2 * kWidth, kExpertBytes = 3 * kWidth * kWidth / 32 * 17;

bool count_processor_time = false;

double seconds_of(const std::function<void()>& work) {
  if (count_processor_time) {
    const std::clock_t begin = std::clock();
    work();
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  }
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void must(int32_t status) {
  if (status == OSSIA_OK) return;
  std::fprintf(stderr, "a call failed with status %d\n", status);
  std::exit(1);
}

// Memory filled with random bytes, `mask` kept of each 16-bit word and `base` added.
uint16_t* filled(int64_t words, uint16_t mask, uint16_t base) {
  uint16_t* memory = static_cast<uint16_t*>(ossia::allocate(static_cast<size_t>(words) * 2));
  if (memory == nullptr) must(OSSIA_OUT_OF_MEMORY);
  uint64_t state = 88172645463325252u;
  for (int64_t i = 0; i < words; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    memory[i] = static_cast<uint16_t>((state & mask) + base);
  }
  return memory;
}

struct Bench {
  ossia_context* context = nullptr;
  std::mt19937 random{1};
  uint16_t* dense;   // kMatrices of [kRows, kWidth] bfloat16
  char* panels;      // the same in 8 bits
  uint16_t* blocks;  // gate_up, then down, of kExperts
  uint16_t* scales;
  std::vector<float> bias = std::vector<float>(kExperts * kGateUp, 0.1f);

  Bench(int threads, const char* isa) {
    must(ossia_create(threads, isa, &context));
    // bfloat16 between 2^-7 and 2^-5 with either sign; scale bytes 120 to 123.
    dense = filled(kMatrices * kRows * kWidth, 0x80FF, 0x3C00);
    blocks = filled(kExperts * 3 * kWidth * kWidth / 4, 0xFFFF, 0);
    scales = filled(kExperts * 3 * kWidth * kWidth / 64, 0x0303, 0x7878);
    panels = static_cast<char*>(ossia::allocate(static_cast<size_t>(kMatrices * ossia_int8_bytes(kRows, kWidth))));
    if (panels == nullptr) must(OSSIA_OUT_OF_MEMORY);
    for (int64_t i = 0; i < kMatrices; ++i) {
      const ossia_weight matrix = dense_weight(i);
      must(ossia_int8_round(context, &matrix, panels + i * ossia_int8_bytes(kRows, kWidth)));
    }
  }

  ossia_weight dense_weight(int64_t i) const {
    return {dense + i * kRows * kWidth, nullptr, bias.data(), 1, kRows, kWidth, OSSIA_BF16};
  }

  double bandwidth() {
    const int64_t bytes = kMatrices * kRows * kWidth * 2;
    uint64_t sum;
    return static_cast<double>(bytes) / seconds_of([&] { must(ossia_read_bandwidth(context, dense, bytes, &sum)); });
  }

  double linear(int64_t tokens, int32_t dtype, int32_t precision, const std::vector<float>& x, std::vector<float>& y) {
    const int64_t i = static_cast<int64_t>(random() % kMatrices);
    ossia_weight weight = dense_weight(i);
    if (dtype == OSSIA_INT8) weight.values = panels + i * ossia_int8_bytes(kRows, kWidth);
    weight.dtype = dtype;
    return seconds_of(
        [&] { must(ossia_linear(context, x.data(), tokens, &weight, nullptr, nullptr, precision, y.data())); });
  }

  // Stores the bytes of the experts that were chosen.
  double experts(int64_t tokens, int32_t precision, const std::vector<float>& x, std::vector<float>& y, double& bytes) {
    const int64_t gate_up_blocks = kExperts * kGateUp * kWidth / 32;
    const uint8_t* block_bytes = reinterpret_cast<const uint8_t*>(blocks);
    const uint8_t* scale_bytes = reinterpret_cast<const uint8_t*>(scales);
    const ossia_weight gate_up{block_bytes, scale_bytes, bias.data(), kExperts, kGateUp, kWidth, OSSIA_MXFP4};
    const ossia_weight down{block_bytes + gate_up_blocks * 16,
                            scale_bytes + gate_up_blocks,
                            bias.data(),
                            kExperts,
                            kWidth,
                            kWidth,
                            OSSIA_MXFP4};
    std::vector<int32_t> chosen, order(kExperts);
    for (int32_t e = 0; e < kExperts; ++e) order[static_cast<size_t>(e)] = e;
    for (int64_t t = 0; t < tokens; ++t) {
      std::shuffle(order.begin(), order.end(), random);
      chosen.insert(chosen.end(), order.begin(), order.begin() + kActive);
    }
    const std::vector<float> shares(chosen.size(), 0.25f);
    const double seconds = seconds_of([&] {
      must(ossia_experts(context, x.data(), tokens, chosen.data(), shares.data(), kActive, &gate_up, &down, nullptr,
                         nullptr, nullptr, 7.f, precision, y.data()));
    });
    std::sort(chosen.begin(), chosen.end());
    const auto distinct = std::unique(chosen.begin(), chosen.end()) - chosen.begin();
    bytes = static_cast<double>(distinct) * kExpertBytes;
    return seconds;
  }
};

void row(const char* name, const char* precision, int64_t tokens, const std::vector<double>& rates,
         const std::vector<double>& ratios, double flops_per_token) {
  std::vector<double> sorted = ratios;
  std::sort(sorted.begin(), sorted.end());
  std::printf("%-8s %-6s %4d tokens  %6.1f GB/s  %3.0f %% of bandwidth (%.0f-%.0f)  %7.0f GFLOP/s\n", name, precision,
              static_cast<int>(tokens), median(rates) / 1e9, median(ratios) * 100, sorted.front() * 100,
              sorted.back() * 100, flops_per_token / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  const char* isa = argc > 2 && std::string(argv[2]) != "best" ? argv[2] : nullptr;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 9;
  Bench bench(threads, isa);
  count_processor_time = ossia_threads(bench.context) == 1;
  std::printf("%s, %d threads, %d rounds\n", ossia_isa(bench.context), ossia_threads(bench.context), rounds);
  std::vector<double> bandwidths;
  for (const int32_t precision : {OSSIA_EXACT, OSSIA_FAST, OSSIA_TURBO}) {
    const char* name = precision == OSSIA_EXACT ? "exact" : precision == OSSIA_FAST ? "fast" : "turbo";
    for (const int64_t tokens : {1, 2, 4, 8, 16, 64, 512}) {
      const std::vector<float> x(static_cast<size_t>(tokens * kWidth), 0.5f);
      std::vector<float> y(static_cast<size_t>(tokens * kRows));
      std::vector<double> rates[3], ratios[3], flops[3];
      const int kinds = precision == OSSIA_EXACT ? 2 : 3;
      for (int round = 0; round < (tokens > 16 ? 3 : rounds); ++round) {
        const double bandwidth = bench.bandwidth();
        bandwidths.push_back(bandwidth);
        const int calls = tokens > 16 ? 1 : 4;
        double linear = 0, experts = 0, bytes = 0, int8 = 0;
        for (int call = 0; call < calls; ++call) {
          double read;
          linear += bench.linear(tokens, OSSIA_BF16, precision, x, y);
          if (kinds > 2) int8 += bench.linear(tokens, OSSIA_INT8, precision, x, y);
          experts += bench.experts(tokens, precision, x, y, read);
          bytes += read;
        }
        const double dense_bytes = static_cast<double>(calls * kRows * kWidth * 2);
        rates[0].push_back(dense_bytes / linear);
        rates[1].push_back(bytes / experts);
        if (kinds > 2) {
          rates[2].push_back(static_cast<double>(calls * ossia_int8_bytes(kRows, kWidth)) / int8);
          flops[2].push_back(2. * static_cast<double>(calls * tokens * kRows * kWidth) / int8);
        }
        for (int i = 0; i < kinds; ++i) ratios[i].push_back(rates[i].back() / bandwidth);
        flops[0].push_back(2. * static_cast<double>(calls * tokens * kRows * kWidth) / linear);
        flops[1].push_back(2. * static_cast<double>(calls * tokens * kActive * 3 * kWidth * kWidth) / experts);
      }
      row("linear", name, tokens, rates[0], ratios[0], median(flops[0]));
      if (kinds > 2) row("8 bits", name, tokens, rates[2], ratios[2], median(flops[2]));
      row("experts", name, tokens, rates[1], ratios[1], median(flops[1]));
    }
  }
  std::printf("read bandwidth %.1f GB/s (median)\n", median(bandwidths) / 1e9);
  ossia_destroy(bench.context);
}
