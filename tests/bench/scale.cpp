/// What a node that holds many segments costs, beside the same node when it held few: start, look-ups, reads
/// and puts at random keys, memory. A measuring tool, not a test.
///   scale DIRECTORY [SMALL [LARGE [SECONDS]]]
/// The directory must be new; some 950 bytes of it a segment are used, log and database together. Segments
/// are written as the node writes them, records into the log and their rows through the fold, but many to a
/// round.

#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/store/node_store.hpp"
#include "net/bench/process_usage.hpp"
#include "net/client.hpp"
#include "net/network.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/support/process_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <random>

#include <fmt/format.h>

namespace {

using namespace cairn;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using harness::harness_error;

constexpr int repeats = 5;
constexpr std::size_t stored_bytes = 100; ///< of a segment that is there beforehand
constexpr std::size_t put_bytes = 4'096;
constexpr std::size_t window = 64;
constexpr id_lease filling_shard{shard_number{shard_count - 1}}; ///< no lease of node 1 has it

template <class T>
T value_of(result<T> given) {
  if (!given)
    throw harness_error(given.error().message);
  if constexpr (!std::is_void_v<T>)
    return std::move(*given);
}

/// Key of the nth segment: neighbours lie far apart, and no two are equal.
std::string key_of(std::uint64_t number) {
  auto x = number + 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return fmt::format("scale/{:016x}", x ^ (x >> 31U));
}

/// Archives without a node: whole segments of one small sequence.
class filler {
public:
  explicit filler(const node_settings& settings)
      : store_(value_of(node_store::open(real_disk(), settings))), recovered_(value_of(store_->recover())),
        position_(recovered_.machine.position), next_id_(recovered_.machine.next_row_id) {
    const auto data = harness::bytes_of_seed(stored_bytes, 1);
    sequence_.sequence = harness::describe(data, 0);
    sequence_.checksums = checksum_data(data.bytes());
    sequence_.data = data;
    final_.file = harness::describe({data});
    final_.sequence_count = 1;
    final_.total_bytes = stored_bytes;
  }

  void fill(std::uint64_t from, std::uint64_t to) {
    constexpr std::uint64_t segments_a_round = 2'000;
    for (auto number = from; number < to;) {
      std::vector<record_body> records;
      for (const auto end = std::min(number + segments_a_round, to); number < end; ++number)
        add(records, number);
      commit(records);
      if (number % 100'000 == 0)
        fmt::print(stderr, "\r{} segments ", number);
    }
    fmt::print(stderr, "\n");
    const auto closed = value_of(recovered_.log->close());
    value_of(recovered_.database->put_value_files({&closed.row.value(), 1}));
  }

private:
  void add(std::vector<record_body>& to, std::uint64_t number) {
    segment_identity of;
    of.id = segment_id{next_id_++};
    of.segment = {collection_id{1}, key_of(number), ids_.next(), now_us(), 0, 1};
    of.nodes.source = node_id{1};
    sequence_.of = final_.of = std::move(of);
    to.emplace_back(sequence_);
    to.emplace_back(final_);
  }

  void commit(std::vector<record_body>& records) {
    auto appended = recovered_.log->append(records);
    if (appended.failed)
      throw harness_error(appended.failed->message);
    value_of(recovered_.log->sync());
    std::vector<placed_record> placed;
    for (std::size_t i = 0; i < records.size(); ++i)
      placed.push_back({std::move(records[i]), appended.placements[i]});
    const auto end = appended.placements.back().lsn;
    value_of(recovered_.database->begin_round({position_, end, placed, appended.file_rows, {}}));
    value_of(recovered_.database->commit_round());
    position_ = end;
  }

  std::unique_ptr<node_store> store_;
  recovered_store recovered_;
  log_sequence_number position_;
  std::int64_t next_id_;
  unified_id_generator ids_{filling_shard};
  sequence_record sequence_;
  final_record final_;
};

struct operation_cost {
  double latency_us = 0; ///< p50, one at a time
  double cpu_us = 0;     ///< of node and database for one, `window` under way
  double per_second = 0; ///< likewise
};

struct cost {
  double start_seconds = 0; ///< after an orderly stop, PostgreSQL's own start in it
  double read_mib = 0;      ///< resident memory of the node after look-ups and reads
  double resident_mib = 0;  ///< and when all was done
  operation_cost look_up, get, put;
};

double cpu_seconds(pid_t node) {
  auto all = bench::usage_of(node).cpu.count();
  for (const auto process : bench::descendants_of(node))
    all += bench::usage_of(process).cpu.count();
  return all;
}

double seconds_since(steady::time_point begin) {
  return std::chrono::duration<double>(steady::now() - begin).count();
}

template <class T>
double median(std::vector<T> values, double T::*field) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), {},
                           field);
  return values[values.size() / 2].*field;
}

/// Sends for a while, so many under way at once, and checks every reply.
/// @param send of a client, gives its pending reply
/// @returns how many were answered; latencies are appended
template <class Send>
std::size_t run(client& node, std::size_t width, double seconds, Send send, std::vector<double>* latencies) {
  std::deque<std::pair<steady::time_point, decltype(send(node))>> under_way;
  std::size_t answered = 0;
  const auto begin = steady::now();
  for (;;) {
    while (under_way.size() < width && seconds_since(begin) < seconds)
      under_way.emplace_back(steady::now(), send(node));
    if (under_way.empty())
      return answered;
    const auto reply = under_way.front().second();
    if (!reply || reply->result != errc::success)
      throw harness_error(reply ? reply->error_message : reply.error().message);
    ++answered;
    if (latencies != nullptr)
      latencies->push_back(seconds_since(under_way.front().first) * 1e6);
    under_way.pop_front();
  }
}

template <class Send>
operation_cost measure(const harness::host_process& host, client& node, double seconds, Send send) {
  std::vector<operation_cost> runs;
  for (int i = 0; i < repeats; ++i) {
    std::vector<double> latencies;
    run(node, 1, seconds, send, &latencies);
    std::ranges::nth_element(latencies,
                             latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() / 2));
    const auto cpu = cpu_seconds(host.pid());
    const auto begin = steady::now();
    const auto count = static_cast<double>(run(node, window, seconds, send, nullptr));
    runs.push_back({latencies[latencies.size() / 2], (cpu_seconds(host.pid()) - cpu) * 1e6 / count,
                    count / seconds_since(begin)});
  }
  return {median(runs, &operation_cost::latency_us), median(runs, &operation_cost::cpu_us),
          median(runs, &operation_cost::per_second)};
}

cost measure(const std::string& directory, std::uint64_t segments, double seconds) {
  harness::host_options options;
  options.data_directory = directory;
  harness::host_process host(options); // recovers what the filler left
  std::vector<double> starts;
  for (int i = 0; i < repeats; ++i) {
    if (host.stop() != 0)
      throw harness_error("the node did not stop in order: " + host.log());
    const auto begin = steady::now();
    host.restart();
    starts.push_back(seconds_since(begin));
  }
  std::ranges::sort(starts);

  auto net = value_of(network::open());
  auto connected = client::connect(net->wire(), host.direct_address());
  if (!connected)
    throw harness_error(connected.error().message);
  auto& node = **connected;
  std::mt19937_64 random(segments);
  const auto any_key = [&] { return key_of(random() % segments); };

  cost out;
  out.start_seconds = starts[repeats / 2];
  out.look_up = measure(host, node, seconds, [&](client& to) {
    lookup request;
    request.collection = collection_id{1};
    request.key = any_key();
    return to.send<lookup_reply>(std::move(request));
  });
  out.get = measure(host, node, seconds, [&](client& to) {
    retrieve_start request;
    request.collection = collection_id{1};
    request.key = any_key();
    return to.send<retrieve_reply>(std::move(request));
  });
  const auto resident_mib = [&] { return static_cast<double>(harness::resident_kib(host.pid())) / 1024; };
  out.read_mib = resident_mib();
  // Larger numbers than any that is there; far from those of the other measurement.
  auto number = segments << 20U;
  const auto data = harness::bytes_of_seed(put_bytes, 2);
  const auto sequence = harness::describe(data, 0);
  const auto file = harness::describe({data});
  out.put = measure(host, node, seconds, [&](client& to) {
    archive_key_entire request;
    request.segment = {collection_id{1}, key_of(number++), to.next_unified_id(), now_us(), 0, 1};
    request.sequence = sequence;
    request.file = file;
    request.nodes.source = to.node().node;
    request.data = data;
    return to.send<archive_reply>(std::move(request));
  });
  out.resident_mib = resident_mib();
  if (host.stop() != 0)
    throw harness_error("the node did not stop in order: " + host.log());
  return out;
}

void print(const char* what, double few, double many) {
  fmt::print("| {} | {:.2f} | {:.2f} | {:.2f} |\n", what, few, many, many / few);
}

void print(const std::string& what, const operation_cost& few, const operation_cost& many) {
  print((what + ", one at a time, p50 us").c_str(), few.latency_us, many.latency_us);
  print(fmt::format("{}, {} at a time, CPU us (node and database)", what, window).c_str(), few.cpu_us,
        many.cpu_us);
  print(fmt::format("{}, {} at a time, a second", what, window).c_str(), few.per_second, many.per_second);
}

void compare(const std::string& directory, std::uint64_t small, std::uint64_t large, double seconds) {
  const auto settings = harness::settings_in(directory);
  const auto begin = steady::now();
  filler(settings).fill(0, small);
  const auto few = measure(directory, small, seconds);
  filler(settings).fill(small, large);
  fmt::print(stderr, "filled {:.0f} s after the begin\n", seconds_since(begin));
  const auto many = measure(directory, large, seconds);
  fmt::print("| | {} segments | {} segments | ratio |\n|---|---|---|---|\n", small, large);
  print("start after an orderly stop, s", few.start_seconds, many.start_seconds);
  print("resident memory of the node after look-ups and gets, MiB", few.read_mib, many.read_mib);
  print("and after puts, MiB", few.resident_mib, many.resident_mib);
  print("look-up", few.look_up, many.look_up);
  print("get of 100 bytes", few.get, many.get);
  print("put of 4 KiB", few.put, many.put);
  fmt::print("\nmedians of {} runs of {} s each\n", repeats, seconds);
}

} // namespace

int main(int argc, char** argv) {
  const auto number = [&](int index, double otherwise) {
    return argc > index ? std::atof(argv[index]) : otherwise;
  };
  const auto small = number(2, 10'000);
  const auto large = number(3, 10'000'000);
  const auto seconds = number(4, 3);
  if (argc < 2 || !(small >= 1) || !(large > small) || large > 1e9 || !(seconds > 0)
      || std::filesystem::exists(argv[1])) {
    fmt::print(
      stderr,
      "scale DIRECTORY [SMALL [LARGE [SECONDS]]]: a directory that is not there yet, SMALL < LARGE\n");
    return 2;
  }
  try {
    compare(argv[1], static_cast<std::uint64_t>(small), static_cast<std::uint64_t>(large), seconds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
