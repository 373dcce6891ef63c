/// What single steps cost, each beside a reference of the same run: memcpy of the same bytes, or one digest
/// after the other. tests/bench/compare.sh compares two builds by it; nothing here asserts a time.

#include "actors/payload_inspect.hpp"
#include "actors/wire_types.hpp"
#include "core/digest.hpp"
#include "core/log/scanner.hpp"
#include "core/log/value_log.hpp"
#include "core/md5_lanes.hpp"
#include "core/messages.hpp"
#include "tests/support/log_records.hpp"
#include "tests/support/sample_log.hpp"
#include "tests/support/test_database.hpp"
#include "tests/support/write_rig.hpp"

#include <cstring>

#include <benchmark/benchmark.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

namespace cairn {

namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::uint32_t state = 1;
  for (auto& byte : bytes)
    byte = static_cast<std::byte>((state = state * 1'664'525 + 1'013'904'223) >> 24U);
  return bytes;
}

void set_bytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

void copy(benchmark::State& state) {
  const auto from = some_bytes(static_cast<std::size_t>(state.range(0)));
  std::vector<std::byte> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  set_bytes(state, from.size());
}
BENCHMARK(copy)->Arg(4096)->Arg(1 << 20);

// --- digests: range(0) buffers of range(1) bytes ---

class many_buffers {
public:
  explicit many_buffers(const benchmark::State& state)
      : bytes_(some_bytes(static_cast<std::size_t>(state.range(0) * state.range(1)))) {
    const auto each = static_cast<std::size_t>(state.range(1));
    for (std::size_t i = 0; i < static_cast<std::size_t>(state.range(0)); ++i)
      buffers.push_back(std::span(bytes_).subspan(i * each, each));
  }
  std::vector<std::span<const std::byte>> buffers;
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

private:
  std::vector<std::byte> bytes_;
};

void digest_one_by_one(benchmark::State& state) {
  const many_buffers of(state);
  for (auto _ : state)
    for (const auto& each : of.buffers)
      benchmark::DoNotOptimize(digest_payload(each));
  set_bytes(state, of.size());
}
BENCHMARK(digest_one_by_one)->Args({16, 4096})->Args({16, 65'536})->Args({16, 1 << 20});

void digest_side_by_side(benchmark::State& state) {
  const many_buffers of(state);
  for (auto _ : state)
    benchmark::DoNotOptimize(digest_payloads(of.buffers));
  set_bytes(state, of.size());
}
BENCHMARK(digest_side_by_side)
  ->Args({4, 65'536})
  ->Args({8, 65'536})
  ->Args({16, 4096})
  ->Args({16, 65'536})
  ->Args({16, 1 << 20});

// --- log: batches of 64 sequences of range(0) bytes ---

/// Takes whatever is written.
class sink_file final : public disk_file {
public:
  result<void> write_at(std::uint64_t, std::span<const std::byte> data) override {
    benchmark::DoNotOptimize(data.data());
    return {};
  }
  result<void> sync() override { return {}; }
  result<std::size_t> read_at(std::uint64_t, std::span<std::byte>) const override { return std::size_t{0}; }
  result<std::uint64_t> size() const override { return std::uint64_t{0}; }
  result<bool> preallocate(std::uint64_t) override { return true; }
  result<void> release_preallocation() override { return {}; }
};

void log_append(benchmark::State& state) {
  constexpr std::size_t batch = 64;
  const auto bytes = some_bytes(static_cast<std::size_t>(state.range(0)));
  const std::vector<record_body> records(batch, sample_sequence(std::span<const std::byte>(bytes)));
  value_log log({}, {}, [](value_file_id) -> result<created_value_file> {
    return created_value_file{std::make_unique<sink_file>(), space_id{1}};
  });
  if (!log.open())
    return state.SkipWithError("the log does not open");
  for (auto _ : state) {
    benchmark::DoNotOptimize(log.append(records));
    benchmark::DoNotOptimize(log.sync());
  }
  set_bytes(state, batch * bytes.size());
}
BENCHMARK(log_append)->Arg(4096)->Arg(65'536)->Arg(1 << 20);

void log_scan(benchmark::State& state) {
  constexpr int records = 256;
  const auto bytes = some_bytes(static_cast<std::size_t>(state.range(0)));
  log_image image(sample_file_header());
  for (int i = 0; i < records; ++i)
    image.add(sample_sequence(std::span<const std::byte>(bytes)));
  image.end_batch();
  for (auto _ : state)
    if (scan_all(file_over(image.bytes())).records.size() != records)
      return state.SkipWithError("not all records are found");
  set_bytes(state, image.bytes().size());
}
BENCHMARK(log_scan)->Arg(4096)->Arg(65'536);

// --- messages ---

struct wire_config : caf::actor_system_config {
  wire_config() { add_wire_types(*this); }
};

archive_key_entire sample_message(std::size_t bytes) {
  archive_key_entire message;
  message.segment.collection = collection_id{1};
  message.segment.key = "bench/0000000001/0000000001";
  message.segment.version = unified_id{1};
  message.nodes.source = "node-1";
  message.data = payload::uninitialized(bytes);
  return message;
}

void message_encode(benchmark::State& state) {
  wire_config config;
  caf::actor_system system(config);
  auto message = sample_message(static_cast<std::size_t>(state.range(0)));
  std::vector<char> buffer;
  for (auto _ : state) {
    buffer.clear();
    caf::binary_serializer out(system, buffer);
    if (out(message))
      return state.SkipWithError("it is not encoded");
  }
  set_bytes(state, buffer.size());
}
BENCHMARK(message_encode)->Arg(4096)->Arg(1 << 20);

void message_decode(benchmark::State& state) {
  wire_config config;
  caf::actor_system system(config);
  auto message = sample_message(static_cast<std::size_t>(state.range(0)));
  std::vector<char> buffer;
  caf::binary_serializer out(system, buffer);
  if (out(message))
    return state.SkipWithError("it is not encoded");
  for (auto _ : state) {
    archive_key_entire decoded;
    caf::binary_deserializer in(system, buffer);
    if (in(decoded))
      return state.SkipWithError("it is not decoded");
    benchmark::DoNotOptimize(decoded);
  }
  set_bytes(state, buffer.size());
}
BENCHMARK(message_decode)->Arg(4096)->Arg(1 << 20);

// --- a round of range(0) archives: in the state machine alone, in the database alone ---

void machine_round(benchmark::State& state) {
  const auto archives = static_cast<std::uint64_t>(state.range(0));
  write_machine machine({}, {});
  std::uint64_t version = 1;
  std::uint64_t request = 1;
  std::uint64_t lsn = 1;
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < archives; ++i)
      machine.admit({{1, request++}, entire(version++)}, {});
    machine.start_round();
    const auto job = machine.take_append();
    std::vector<placement> placements;
    for (std::size_t i = 0; i < job->records.size(); ++i)
      placements.push_back({log_sequence_number{lsn++}, value_file_id{1}, 4096, 128, 10, 0});
    machine.appended(std::move(placements), {});
    fold_result outcome;
    outcome.records.resize(machine.take_fold()->records.size());
    machine.synced();
    machine.committed(std::move(outcome));
    if (machine.take_answers().size() != archives)
      return state.SkipWithError("not all are answered");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(machine_round)->Arg(1)->Arg(64)->Arg(1024);

void database_round(benchmark::State& state) {
  static const test_database database;
  const auto node = database.open();
  auto position = node->position().value();
  auto id = static_cast<std::int64_t>(position.value);
  for (auto _ : state) {
    record_list list(position.value + 1);
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      ++id;
      list.add_entire(make_identity(id, static_cast<std::uint64_t>(id), "bench/" + std::to_string(id)));
    }
    node_database::round facts;
    facts.expected_position = position;
    facts.new_position = position = list.last_lsn();
    facts.records = list.all();
    if (!node->begin_round(facts) || !node->commit_round())
      return state.SkipWithError("the database does not take it");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(database_round)->Arg(1)->Arg(8)->Arg(64)->Arg(1024)->Unit(benchmark::kMicrosecond)->UseRealTime();

} // namespace

} // namespace cairn

BENCHMARK_MAIN();
