#include "tests/support/log_bench.hpp"

#include "core/digest.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cairn {

namespace {

/// Holds the log to "append-only": no block is written twice, none is left out.
class append_only_file final : public disk_file {
public:
  explicit append_only_file(std::unique_ptr<disk_file> file) : file_(std::move(file)) {}

  result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    EXPECT_FALSE(has_failed_) << "a file is written to after a failure";
    EXPECT_EQ(offset, end_);
    EXPECT_FALSE(data.empty());
    end_ = offset + data.size();
    return note(file_->write_at(offset, data));
  }
  result<void> sync() override {
    EXPECT_FALSE(has_failed_) << "a file is synced after a failure";
    return note(file_->sync());
  }
  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_->read_at(offset, out);
  }
  result<std::uint64_t> size() const override { return file_->size(); }
  result<bool> preallocate(std::uint64_t end) override { return file_->preallocate(end); }
  result<void> release_preallocation() override { return file_->release_preallocation(); }

private:
  result<void> note(result<void> outcome) {
    has_failed_ = has_failed_ || !outcome;
    return outcome;
  }

  std::unique_ptr<disk_file> file_;
  std::uint64_t end_ = 0;
  bool has_failed_ = false;
};

} // namespace

log_bench::log_bench(std::uint64_t max_file_bytes, log_start start) {
  disk.set_up_directory("/space");
  options.cluster_name = "test";
  options.node_name = "multi-node-01";
  options.node = node_id{1};
  options.max_file_bytes = max_file_bytes;
  log = std::make_unique<value_log>(options, start, [this](value_file_id id) { return create(id); });
}

result<created_value_file> log_bench::create(value_file_id id) {
  auto file = disk.create(path(id), io_mode::direct);
  if (!file)
    return pass_failure(file);
  if (auto synced = disk.sync_directory("/space"); !synced)
    return pass_failure(synced);
  return created_value_file{std::make_unique<append_only_file>(std::move(*file)), space_id{3}};
}

append_outcome log_bench::append(const std::vector<record_body>& records) {
  auto outcome = log->append(records);
  EXPECT_LE(outcome.placements.size(), records.size());
  EXPECT_TRUE(outcome.failed || outcome.placements.size() == records.size());
  for (std::size_t i = 0; i < outcome.placements.size(); ++i)
    held.push_back({records[i], outcome.placements[i]});
  note_synced();
  return outcome;
}

result<void> log_bench::sync() {
  auto outcome = log->sync();
  note_synced();
  return outcome;
}

/// The rule of value_log.hpp: after a failure every placement above synced_lsn() is void, for ever.
void log_bench::note_synced() {
  for (const auto& each : held)
    if (each.at.lsn <= log->synced_lsn() && (durable.empty() || durable.back().at.lsn < each.at.lsn))
      durable.push_back(each);
  if (!log->is_open())
    held = durable;
}

std::string log_bench::path(value_file_id id) { return fmt::format("/space/{:08}", id.value); }

std::uint64_t log_bench::size_of(value_file_id id) { return (*disk.open_for_read(path(id)))->size().value(); }

std::map<value_file_id, found_file> log_bench::found_files() {
  std::map<value_file_id, found_file> files;
  const auto entries = disk.list_directory("/space").value();
  for (const auto& entry : entries) {
    const auto name = "/space/" + entry.name;
    auto scanner = log_scanner::open(*disk.open_for_read(name));
    const auto size_bytes = (*disk.open_for_read(name))->size().value();
    if (!scanner) {
      EXPECT_LE(size_bytes, file_header_bytes) << name << ": " << scanner.error().message;
      continue;
    }
    EXPECT_EQ(path(scanner->header().id), name);
    files[scanner->header().id] = {scanner->header(), size_bytes, std::nullopt, {}};
  }
  for (const auto& [id, successor] : files)
    if (const auto file = files.find(successor.header.predecessor); file != files.end()) {
      const auto fence = successor.header.predecessor_valid_end;
      EXPECT_EQ(file->second.fence.value_or(fence), fence) << "two fences in one file";
      file->second.fence = fence;
    }
  for (auto& [id, file] : files)
    file.findings = scan_all(*disk.open_for_read(path(id)), file.fence);
  return files;
}

std::map<log_sequence_number, held_record> log_bench::found_records() {
  std::map<log_sequence_number, held_record> records;
  for (auto& [id, file] : found_files()) {
    EXPECT_TRUE(!file.fence || file.findings.is_clean()) << path(id) << " does not parse up to its fence";
    const auto torn_at = file.findings.unparsed.empty() ? file.size_bytes : file.findings.unparsed[0].offset;
    for (auto& record : file.findings.records) {
      if (record.at.record_offset >= torn_at)
        continue; // past a torn tail nothing counts
      EXPECT_GE(record.at.lsn, file.header.first_lsn);
      EXPECT_LT(record.prefix.frame.synced_lsn, record.at.lsn);
      const auto lsn = record.at.lsn;
      EXPECT_TRUE(records.insert({lsn, {std::move(*record.body), record.at}}).second)
        << "LSN " << lsn.value << " counts twice";
    }
  }
  return records;
}

bool log_bench::has_data(const held_record& record) {
  const auto* sequence = std::get_if<sequence_record>(&record.body);
  if (sequence == nullptr)
    return true;
  std::vector<std::byte> data(record.at.data_bytes);
  auto file = disk.open_for_read(path(record.at.value_file));
  return file && (*file)->read_at(record.at.data_offset(), data) == data.size()
         && data.size() == sequence->data.size()
         && (data.empty() || std::memcmp(data.data(), sequence->data.bytes().data(), data.size()) == 0);
}

void log_bench::expect_held(const std::vector<held_record>& records) {
  expect_found(records, found_records());
}

void log_bench::expect_exactly_held() {
  const auto found = found_records();
  expect_found(held, found);
  EXPECT_EQ(found.size(), held.size());
}

void log_bench::expect_found(const std::vector<held_record>& records,
                             const std::map<log_sequence_number, held_record>& found) {
  for (const auto& each : records) {
    const auto at = found.find(each.at.lsn);
    ASSERT_NE(at, found.end()) << "LSN " << each.at.lsn.value << " is lost";
    ASSERT_EQ(at->second.at, each.at) << "LSN " << each.at.lsn.value;
    ASSERT_EQ(describe(at->second.body), describe(each.body));
    ASSERT_TRUE(has_data(each)) << "LSN " << each.at.lsn.value;
  }
}

sequence_record sequence_of(const payload& data) {
  sequence_record record;
  record.of.id = segment_id{17};
  record.of.segment = {collection_id{2}, "a key", unified_id{99}, timestamp_us{5}, 0, 1};
  record.of.nodes.source = node_id{1};
  record.sequence.size_bytes = static_cast<std::uint32_t>(data.size());
  record.checksums = checksum_data(data.bytes());
  record.data = data;
  return record;
}

const payload& test_bytes() {
  static const payload bytes = [] {
    auto made = payload::uninitialized(12U << 20U);
    std::mt19937_64 random(1);
    auto out = made.mutable_bytes();
    for (std::size_t i = 0; i < out.size(); i += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::copy_n(reinterpret_cast<const std::byte*>(&word), sizeof word,
                  out.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return made;
  }();
  return bytes;
}

} // namespace cairn
