/// The cases of cases.sh without sockets: clients and node are actors of this process. A measuring tool, not
/// a test.
///   in_process [REPEATS] [SECONDS]

#include "net/bench/load.hpp"
#include "net/bench/process_usage.hpp"
#include "net/bench/reference.hpp"
#include "tests/harness/local_node.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace {

using namespace cairn;
using namespace cairn::bench;
using namespace std::chrono_literals;

struct bench_case {
  const char* name;
  load_mode mode;
  std::uint32_t sequence_bytes;
  std::int32_t sequences;
  std::uint32_t concurrency;
  std::uint32_t in_flight;
};

constexpr std::uint32_t kib = 1024;
constexpr bench_case cases[] = {
  {"put 4 KiB x 1", load_mode::put, 4 * kib, 1, 1, 1},
  {"put 4 KiB x 8", load_mode::put, 4 * kib, 1, 8, 1},
  {"put 4 KiB x 64", load_mode::put, 4 * kib, 1, 64, 1},
  {"put 64 KiB x 64", load_mode::put, 64 * kib, 1, 64, 1},
  {"put 1 MiB x 64", load_mode::put, 1024 * kib, 1, 64, 1},
  {"put one stream, 16 x 1.25 MiB in flight", load_mode::put, 1280 * kib, 64, 1, 16},
  {"put one stream, 1 x 1.25 MiB in flight", load_mode::put, 1280 * kib, 64, 1, 1},
  {"get 4 KiB x 1", load_mode::get, 4 * kib, 1, 1, 1},
  {"get 4 KiB x 64", load_mode::get, 4 * kib, 1, 64, 1},
  {"get 64 KiB x 64", load_mode::get, 64 * kib, 1, 64, 1},
  {"get 1 MiB x 64", load_mode::get, 1024 * kib, 1, 64, 1},
};

struct measured {
  double per_second = 0;
  double mb_per_second = 0;
  double p50_us = 0;
  double cpu_us = 0; ///< an object, of this process and the database
  double raw_us = 0; ///< p50 of a raw write + fdatasync of the same size
};

/// Processor seconds of this process and of the database that it runs.
double cpu_seconds() {
  double all = usage_of(::getpid()).cpu.count();
  for (const auto process : descendants_of(::getpid()))
    all += usage_of(process).cpu.count();
  return all;
}

double as_us(latency_histogram::duration time) { return static_cast<double>(time.count()) / 1e3; }

measured run(harness::local_node& node, const bench_case& what, std::chrono::milliseconds time) {
  static int number = 0;
  load_options load;
  load.mode = what.mode;
  load.sequence_bytes = what.sequence_bytes;
  load.sequences = what.sequences;
  load.concurrency = what.concurrency;
  load.in_flight = what.in_flight;
  load.duration = time;
  load.key_prefix = fmt::format("bench/{}/", ++number);
  const auto raw = measure_disk(node.settings().data_directory, what.sequence_bytes, 1, 300ms);
  double before = 0;
  const auto done = run_load({{&node.system(), node.handle()}}, load, [&] { before = cpu_seconds(); });
  const auto cpu = cpu_seconds() - before;
  if (!done || !raw)
    throw harness::harness_error(done ? raw.error().message : done.error().message);
  const auto objects = static_cast<double>(done->puts + done->gets);
  const auto& latency = done->puts != 0 ? done->put_latency : done->get_latency;
  return {objects / done->elapsed.count(),
          static_cast<double>(done->put_bytes + done->get_bytes) / done->elapsed.count() / 1e6,
          as_us(latency.percentile(50)), cpu * 1e6 / objects, as_us(raw->one.percentile(50))};
}

double median(const std::vector<measured>& runs, double measured::*field) {
  std::vector<double> values;
  for (const auto& each : runs)
    values.push_back(each.*field);
  std::ranges::sort(values);
  return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
  const auto repeats = std::max(1, argc > 1 ? std::atoi(argv[1]) : 5);
  const auto seconds = argc > 2 ? std::atof(argv[2]) : 4;
  if (!(seconds > 0)) {
    fmt::print(stderr, "in_process [REPEATS] [SECONDS]\n");
    return 2;
  }
  const auto time = std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1e3)};
  harness::local_node node;
  std::vector<std::vector<measured>> results(std::size(cases));
  for (int repeat = 0; repeat < repeats; ++repeat)
    for (std::size_t i = 0; i < std::size(cases); ++i)
      results[i].push_back(run(node, cases[i], time));
  fmt::print("| case | objects/s | MB/s | p50 us | CPU us an object | raw write + sync p50 us |\n"
             "|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < std::size(cases); ++i)
    fmt::print("| {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |\n", cases[i].name,
               median(results[i], &measured::per_second), median(results[i], &measured::mb_per_second),
               median(results[i], &measured::p50_us), median(results[i], &measured::cpu_us),
               median(results[i], &measured::raw_us));
  fmt::print("\nmedians of {} runs each\n", repeats);
  return 0;
}
