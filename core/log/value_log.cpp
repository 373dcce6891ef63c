#include "core/log/value_log.hpp"

#include "core/clock.hpp"
#include "core/log/bytes.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include <fmt/format.h>
#include <openssl/rand.h>

namespace cairn {

namespace {

constexpr std::size_t write_buffer_bytes = 4U << 20U;
static_assert(write_buffer_bytes % disk_block_bytes == 0 && file_header_bytes % disk_block_bytes == 0);

/// A value file archived inside a value file must not parse as records, so nobody may guess this.
std::uint64_t random_nonce() {
  std::uint64_t nonce = 0;
  while (nonce == 0)
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&nonce), sizeof nonce) != 1)
      throw std::bad_alloc();
  return nonce;
}

} // namespace

/// Block-aligned memory between records and the file, reused for ever; direct I/O needs it.
class value_log::write_buffer {
public:
  write_buffer()
      : memory_(static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, write_buffer_bytes))) {
    if (memory_ == nullptr)
      throw std::bad_alloc();
  }
  ~write_buffer() { std::free(memory_); }
  write_buffer(const write_buffer&) = delete;
  write_buffer& operator=(const write_buffer&) = delete;

  /// Starts a batch at a block-aligned offset of the file.
  void begin_at(std::uint64_t offset) {
    file_offset_ = offset;
    used_ = 0;
  }
  [[nodiscard]] std::uint64_t end() const { return file_offset_ + used_; }

  /// Room for `count` contiguous bytes, or an empty span when the buffer must be written first.
  std::span<std::byte> reserve(std::size_t count) {
    return count <= write_buffer_bytes - used_ ? std::span(memory_ + used_, count) : std::span<std::byte>{};
  }
  void commit(std::size_t count) { used_ += count; }

  result<void> put(disk_file& file, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto count = std::min(bytes.size(), write_buffer_bytes - used_);
      std::copy_n(bytes.data(), count, memory_ + used_);
      used_ += count;
      bytes = bytes.subspan(count);
      if (used_ == write_buffer_bytes)
        if (auto written = write_blocks(file); !written)
          return written;
    }
    return {};
  }
  result<void> put_zeros_to_multiple(disk_file& file, std::uint64_t multiple) {
    static constexpr std::byte zeros[disk_block_bytes]{};
    return put(file, std::span(zeros).first(static_cast<std::size_t>(round_up(end(), multiple) - end())));
  }

  /// Writes the whole blocks and keeps the rest for the next write.
  result<void> write_blocks(disk_file& file) {
    const auto whole = used_ / disk_block_bytes * disk_block_bytes;
    if (whole == 0)
      return {};
    if (auto written = file.write_at(file_offset_, {memory_, whole}); !written)
      return written;
    std::copy(memory_ + whole, memory_ + used_, memory_);
    file_offset_ += whole;
    used_ -= whole;
    return {};
  }

private:
  std::byte* memory_;
  std::uint64_t file_offset_ = 0;
  std::size_t used_ = 0;
};

value_log::value_log(value_log_options options, log_start start, file_factory make_file)
    : options_(std::move(options)), make_file_(std::move(make_file)),
      buffer_(std::make_unique<write_buffer>()), next_file_(start.next_file), next_lsn_(start.next_lsn),
      synced_lsn_(start.next_lsn.value - 1), predecessor_(start.predecessor),
      predecessor_valid_end_(start.predecessor_valid_end), predecessor_is_cut_(start.predecessor_is_cut) {}

value_log::~value_log() = default;

result<value_file_row> value_log::open_successor() {
  const auto id = next_file_;
  ++next_file_.value; // ids are never used twice, not even after a failure
  auto created = make_file_(id);
  if (!created)
    return pass_failure(created);

  file_header header;
  header.id = id;
  header.node = options_.node;
  header.nonce = random_nonce();
  header.first_lsn = next_lsn_;
  header.predecessor = predecessor_;
  header.predecessor_valid_end = predecessor_valid_end_;
  header.creation_time = now_us();
  header.cluster_name = options_.cluster_name;
  header.node_name = options_.node_name;
  const auto block = encode_file_header(header);

  buffer_->begin_at(0);
  auto written = buffer_->put(*created->file, block);
  if (written)
    written = buffer_->write_blocks(*created->file);
  if (written)
    written = created->file->sync();
  if (!written)
    return pass_failure(written);

  file_ = std::move(created->file);
  file_id_ = id;
  space_ = created->space;
  nonce_ = header.nonce;
  end_ = synced_end_ = file_header_bytes;
  preallocated_end_ = 0;
  fences_predecessor_ = predecessor_is_cut_;
  summary_.emplace(id, space_, header.creation_time);
  summary_->add_file_header(block);
  last_lsn_ = {};
  return summary_->open_row();
}

append_outcome value_log::append(std::span<const record_body> records) {
  append_outcome outcome;
  outcome.placements.reserve(records.size());
  if (!is_open()) {
    outcome.failed = failure{errc::storage_error, "no value file is open: the last one failed"};
    return outcome;
  }
  result<void> step;
  buffer_->begin_at(end_);
  for (const auto& record : records) {
    const auto end_with_it = round_up(buffer_->end() + record_total_bytes(record), disk_block_bytes);
    if (end_with_it > options_.max_file_bytes && (summary_->has_records())) {
      step = roll(outcome);
      if (!step)
        break;
    }
    auto placed = encode(record);
    if (!placed) {
      step = pass_failure(placed);
      break;
    }
    outcome.placements.push_back(*placed);
  }
  if (step)
    step = flush_padded();
  if (!step) {
    outcome.failed = std::move(step.error());
    poison();
    std::erase_if(outcome.placements, [this](const placement& p) { return p.lsn > synced_lsn_; });
  }
  return outcome;
}

result<placement> value_log::encode(const record_body& body) {
  const auto* sequence = std::get_if<sequence_record>(&body);
  const auto small_data = sequence == nullptr ? encode_record_data(body) : std::vector<std::byte>{};
  const auto data = sequence == nullptr ? std::span<const std::byte>(small_data) : sequence->data.bytes();
  const auto data_crc = sequence == nullptr ? crc32c(data) : sequence->checksums.crc32c;
  const auto header_bytes = record_header_bytes(body);

  placement at;
  at.lsn = next_lsn_;
  at.value_file = file_id_;
  at.record_offset = buffer_->end();
  at.header_bytes = static_cast<std::uint32_t>(header_bytes);
  at.data_bytes = static_cast<std::uint32_t>(data.size());

  const auto needed = at.data_offset() + data.size();
  if (options_.preallocation_bytes != 0 && needed > preallocated_end_) {
    preallocated_end_ =
      std::max(needed, std::min(round_up(needed, options_.preallocation_bytes), options_.max_file_bytes));
    (void)file_->preallocate(preallocated_end_); // a refusal is no error: the write itself tells
  }

  auto header = buffer_->reserve(header_bytes);
  if (header.empty()) {
    if (auto written = buffer_->write_blocks(*file_); !written)
      return pass_failure(written);
    header = buffer_->reserve(header_bytes);
  }
  at.header_crc32c = encode_record_header(body, {next_lsn_, nonce_, synced_lsn_}, data_crc, header);
  summary_->add_record(header, body);
  buffer_->commit(header_bytes);
  last_lsn_ = next_lsn_;
  ++next_lsn_.value; // before the write: what a failed one leaves in the file has a number of its own

  auto written = buffer_->put(*file_, data);
  if (written)
    written = buffer_->put_zeros_to_multiple(*file_, record_alignment_bytes);
  if (!written)
    return pass_failure(written);
  return at;
}

result<void> value_log::flush_padded() {
  auto written = buffer_->put_zeros_to_multiple(*file_, disk_block_bytes);
  if (written)
    written = buffer_->write_blocks(*file_);
  if (written)
    end_ = buffer_->end();
  return written;
}

result<void> value_log::sync() {
  if (!is_open())
    return fail(errc::storage_error, "no value file is open: the last one failed");
  auto synced = file_->sync();
  if (!synced) {
    poison();
    return synced;
  }
  synced_end_ = end_;
  synced_lsn_ = log_sequence_number{next_lsn_.value - 1};
  return {};
}

result<void> value_log::roll(append_outcome& outcome) {
  if (auto flushed = flush_padded(); !flushed)
    return flushed;
  auto closed = close();
  if (!closed)
    return pass_failure(closed);
  outcome.file_rows.push_back(std::move(*closed->row)); // it has records, so it has a row
  auto opened = open_successor();
  if (!opened)
    return pass_failure(opened);
  outcome.file_rows.push_back(std::move(*opened));
  buffer_->begin_at(end_);
  return {};
}

result<value_log::close_outcome> value_log::close() {
  if (!is_open())
    return fail(errc::storage_error, "no value file is open: the last one failed");
  if (auto synced = sync(); !synced)
    return pass_failure(synced);
  (void)file_->release_preallocation(); // kept space is no loss of data: recovery releases it
  file_.reset();
  close_outcome outcome{file_id_, space_, std::nullopt, last_lsn_};
  if (!summary_->has_records() && !fences_predecessor_)
    return outcome; // the next file's predecessor is this one's, as this one goes
  outcome.row = summary_->closed_row(synced_end_, now_us());
  predecessor_ = file_id_;
  predecessor_valid_end_ = synced_end_;
  predecessor_is_cut_ = false;
  return outcome;
}

void value_log::poison() {
  if (file_ == nullptr)
    return; // a rollover had closed the last file well
  file_.reset();
  predecessor_ = file_id_;
  predecessor_valid_end_ = synced_end_;
  predecessor_is_cut_ = true;
}

} // namespace cairn
