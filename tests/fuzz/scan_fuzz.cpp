/// The log scanner over any bytes: it ends, finds nothing that lies outside, and never the same place twice.
/// An input's first byte says whether checksums are mended before, so that what lies behind them is reached.

#include "core/digest.hpp"
#include "core/log/scanner.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/support/byte_file.hpp"

#include <cstring>
#include <span>
#include <vector>

namespace {

using namespace cairn;

constexpr std::uint64_t nonce = 0x0123456789abcdef;

std::vector<std::byte> with_file_header(std::span<const std::byte> records) {
  file_header header;
  header.id.value = 1;
  header.node.value = 1;
  header.nonce = nonce;
  header.first_lsn.value = 1;
  header.cluster_name = "c";
  header.node_name = "n";
  auto bytes = encode_file_header(header);
  bytes.insert(bytes.end(), records.begin(), records.end());
  return bytes;
}

/// Gives each frame the file's nonce and the CRC-32C of the header that its size claims (FORMAT.md: magic,
/// CRC at 4, size at 8, nonce at 24).
void mend_frames(std::vector<std::byte>& bytes) {
  for (std::size_t at = file_header_bytes; at + record_frame_bytes <= bytes.size();
       at += record_alignment_bytes) {
    if (std::memcmp(bytes.data() + at, "CRec", 4) != 0)
      continue;
    std::uint16_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data() + at + 8, sizeof header_bytes);
    std::memcpy(bytes.data() + at + 24, &nonce, sizeof nonce);
    if (header_bytes < record_frame_bytes || at + header_bytes > bytes.size())
      continue;
    const auto checksum = crc32c(std::span(bytes).subspan(at + 8, header_bytes - 8U));
    std::memcpy(bytes.data() + at + 4, &checksum, sizeof checksum);
  }
}

void scan(std::vector<std::byte> bytes) {
  const auto size = bytes.size();
  auto scanner = log_scanner::open(std::make_unique<byte_file>(std::move(bytes)));
  if (!scanner)
    return;
  std::uint64_t position = 0;
  for (;;) {
    auto step = scanner->next();
    if (!step || std::holds_alternative<end_of_file>(*step))
      return;
    if (const auto* record = std::get_if<scanned_record>(&*step)) {
      fuzz::require(record->at.record_offset >= position);
      position = record->at.data_offset() + record->at.data_bytes;
      fuzz::require(position <= size);
      if (record->body && std::holds_alternative<sequence_record>(*record->body))
        (void)scanner->data_is_intact(*record);
      continue;
    }
    const auto next = scanner->resync();
    if (!next)
      return;
    fuzz::require(*next >= position && *next <= size);
    fuzz::require(*next > std::get<unparsed_bytes>(*step).offset || *next == size);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0)
    return 0;
  const std::span input(reinterpret_cast<const std::byte*>(bytes), size);
  const auto rest = input.subspan(1);
  switch (bytes[0] % 3) {
    case 0: scan({rest.begin(), rest.end()}); break;
    case 1: scan(with_file_header(rest)); break;
    default: {
      auto mended = with_file_header(rest);
      mend_frames(mended);
      scan(std::move(mended));
    }
  }
  return 0;
}
