#include "tests/model/describe.hpp"

#include <fmt/format.h>

namespace cairn::model {

namespace {

// In the order of the variant.
constexpr const char* names[] = {"entire",
                                 "start",
                                 "next",
                                 "final",
                                 "cancel",
                                 "destroy",
                                 "start_conjoined",
                                 "abort_conjoined",
                                 "finish_conjoined",
                                 "gateway_start",
                                 "purge",
                                 "add_node",
                                 "sync"};
static_assert(std::size(names) == std::variant_size_v<operation>);

/// Long and binary texts, cut and escaped.
std::string shown(const std::string& text) {
  std::string out;
  for (const auto c : text.substr(0, 40))
    out += c >= ' ' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text.size() > 40 ? fmt::format("{}...[{}]", out, text.size()) : out;
}

} // namespace

std::string describe(const named_segment_key& key) {
  return fmt::format("{}/part {}/num {}{}{}", key.version.value, key.conjoined_part, key.segment_num,
                     key.handoff_node.empty() ? "" : "/for ", shown(key.handoff_node));
}

std::string describe(const operation& message) {
  std::string text = names[message.index()];
  std::visit(
    [&](const auto& m) {
      const auto add = [&]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
        text += fmt::format(format, std::forward<Args>(args)...);
      };
      if constexpr (requires { m.segment; })
        add(" {} of {}:{} at {}",
            describe(named_segment_key{m.segment.version, m.segment.conjoined_part, m.segment.segment_num,
                                       m.nodes.handoff}),
            m.segment.collection.value, shown(m.segment.key), m.segment.timestamp.value);
      if constexpr (requires { m.key.handoff_node; })
        add(" {}", describe(m.key));
      else if constexpr (requires { m.collection; })
        add(" {} of {}:{} at {}", m.version.value, m.collection.value, shown(m.key), m.timestamp.value);
      if constexpr (requires { m.deletes; })
        add(" num {} deletes {}", m.segment_num, m.deletes.value);
      if constexpr (requires { m.nodes; })
        add(" from {} for {}", shown(m.nodes.source), shown(m.nodes.handoff));
      if constexpr (requires { m.handoff_node; })
        add(" for {}", shown(m.handoff_node));
      if constexpr (requires { m.data; })
        add(" sequence {} of {} bytes ({} given, {} padding) md5 {:02x}{:02x} adler {}",
            m.sequence.sequence_num, m.sequence.size_bytes, m.data.size(), m.sequence.padding_bytes,
            m.sequence.md5[0], m.sequence.md5[1], m.sequence.adler32);
      if constexpr (requires { m.file; })
        add(" file size {} md5 {:02x} adler {} meta {}", m.file.size_bytes, m.file.md5[0], m.file.adler32,
            m.meta.size());
      if constexpr (requires { m.source_node; })
        add(" {} at {} from {}", m.version.value, m.timestamp.value, shown(m.source_node));
      if constexpr (requires { m.keys; })
        for (const auto& key : m.keys)
          add(" [{}]", describe(key));
      if constexpr (requires { m.port; })
        add(" {} {} {}:{}", m.node.value, shown(m.name), shown(m.host), m.port);
    },
    message);
  return text;
}

std::string describe(const std::optional<archive_reply>& reply) {
  if (!reply)
    return "no reply";
  return fmt::format("{} lsn {} count {} version {}{}{}", to_string(reply->result), reply->proof.lsn.value,
                     reply->count, reply->version.value, reply->error_message.empty() ? "" : ": ",
                     shown(reply->error_message));
}

std::vector<unified_id> versions_of(const operation& message) {
  std::vector<unified_id> out;
  std::visit(
    [&](const auto& m) {
      if constexpr (requires { m.segment; })
        out.push_back(m.segment.version);
      if constexpr (requires { m.key.version; })
        out.push_back(m.key.version);
      if constexpr (requires { m.version; })
        out.push_back(m.version);
      if constexpr (requires { m.deletes; })
        out.push_back(m.deletes);
      if constexpr (requires { m.keys; })
        for (const auto& key : m.keys)
          out.push_back(key.version);
    },
    message);
  std::erase(out, unified_id{}); // none
  return out;
}

} // namespace cairn::model
