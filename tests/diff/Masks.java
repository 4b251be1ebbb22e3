package diff;

import static diff.Messages.*;
import static diff.Sides.*;

import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/** What of two answers is compared: without what differs on any two brokers, and in an order of its own. */
final class Masks {
    static boolean texts = false;

    static final Set<String> DROP = Set.of("throttleTimeMs", "clusterId", "brokerEpoch", "host", "port", "subscriptionId", "clientInstanceId", "clientHost");
    static final Set<String> DIR = Set.of("logDir", "logDirectory", "logDirName"); static final Set<String> SIZE = Set.of("size", "totalBytes", "usableBytes", "partitionSize");
    static final Pattern UUID_ = Pattern.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])");
    static JsonNode mask(JsonNode n, String f, Side s, boolean ids) {
        if (n.isObject()) {
            ObjectNode o = M.createObjectNode();
            for (String w : List.of("name", "topicName", "topic")) if (n.path(w).isTextual() && n.path("topicId").isTextual() && !n.get("topicId").asText().startsWith("AAAAAAAAAAAAAAAAAAAAA"))
                s.ids.putIfAbsent(n.get("topicId").asText(), "id:" + n.get(w).asText().replace(s.prefix, "P"));
            for (String k : names(n)) if (!DROP.contains(k)) o.set(k, mask(n.get(k), k, s, ids));
            return o;
        }
        if (n.isArray()) { ArrayNode a = M.createArrayNode(); for (JsonNode x : n) a.add(mask(x, f, s, ids)); return a; }
        if (n.isIntegralNumber()) {
            if (SIZE.contains(f)) return n.asLong() > 0 ? TextNode.valueOf("<size>") : n;
            if (s.api.startsWith("ConsumerGroup") && s.name.equals("kafka") && Set.of("memberEpoch", "groupEpoch", "assignmentEpoch").contains(f) && n.asInt() > 1) return IntNode.valueOf(n.asInt() - 1); // Kafka begins with 2
            if (f.equals("sessionId") && n.asLong() != 0) return TextNode.valueOf("<session>");
            if (f.equals("producerId") && n.asLong() >= 0) return TextNode.valueOf(ids ? s.ids.computeIfAbsent("pid" + n.asLong(), x -> "PID" + s.ids.size()) : "PID");
            String t = ts(n.asLong()); return t.equals(n.asText()) ? n : TextNode.valueOf(t);
        }
        if (n.isBinary()) return TextNode.valueOf(n.asText());
        if (n.isTextual()) {
            String t = n.asText();
            if ((f.equals("errorMessage") || f.equals("validationError") || f.equals("batchIndexErrorMessage")) && !texts && !t.isEmpty() && !t.equals("NONE")) return TextNode.valueOf("<text>");
            if (f.equals("documentation") && !texts) return TextNode.valueOf(t.isEmpty() ? "" : "<text>");
            if (DIR.contains(f)) return TextNode.valueOf("<dir>");
            t = t.replace(s.prefix, "P").replaceAll("(.)\\1{50,}", "$1$1…");
            if (t.equals("AAAAAAAAAAAAAAAAAAAAAA") || t.equals("AAAAAAAAAAAAAAAAAAAAAQ")) return TextNode.valueOf(t);
            if (f.equals("configName") || f.equals("name") && t.indexOf('-') < 0 || f.equals("metadata") || f.equals("assignment")) return TextNode.valueOf(t);
            Matcher m = UUID_.matcher(t);
            return TextNode.valueOf(m.replaceAll(r -> ids ? s.ids.computeIfAbsent(r.group(), x -> "U" + s.ids.size()) : "U"));
        }
        return n;
    }
    static final Set<String> ORDERED = Set.of("replicas", "replicaNodes", "isr", "isrNodes", "records", "recs", "addingReplicas", "removingReplicas");
    /** Sorts arrays by what is left once ids are masked, so that ids can be numbered in a fixed order. */
    static JsonNode sort(JsonNode n, String f, Side s) {
        if (n.isObject()) { ObjectNode o = M.createObjectNode(); for (String k : names(n)) o.set(k, sort(n.get(k), k, s)); return o; }
        if (n.isArray()) {
            List<JsonNode> l = new ArrayList<>(); for (JsonNode x : n) l.add(sort(x, f, s));
            if (!ORDERED.contains(f)) l.sort(Comparator.comparing(x -> mask(x, f, s, false).toString()));
            ArrayNode a = M.createArrayNode(); l.forEach(a::add); return a;
        }
        return n;
    }
    static final List<String> KEYS = List.of("name", "topicName", "topic", "topicId", "groupId", "group", "partitionIndex", "partition", "index", "configName", "resourceName", "resourceType", "key", "apiKey", "nodeId", "brokerId", "memberId", "replicaId", "source");
    static String key(JsonNode n) { if (!n.isObject()) return null; StringBuilder b = new StringBuilder(); for (String k : KEYS) if (n.has(k) && n.get(k).isValueNode() && !(k.equals("topicId") && (n.path("name").isTextual() || n.path("topicName").isTextual()))) b.append(b.length() > 0 ? "," : "").append(n.get(k).asText()); return b.length() == 0 ? null : b.toString(); }
    static Map<String, JsonNode> keyed(JsonNode a) { Map<String, JsonNode> m = new LinkedHashMap<>(); for (JsonNode x : a) { String k = key(x); if (k == null || m.put(k, x) != null) return null; } return m; }
    static void walk(String p, JsonNode a, JsonNode b, List<String> out) {
        if (a.equals(b)) return;
        if (a.isObject() && b.isObject()) {
            Set<String> ks = new LinkedHashSet<>(names(a)); ks.addAll(names(b));
            for (String k : ks) { JsonNode x = a.get(k), y = b.get(k); if (x == null) out.add(p + "/" + k + ": kafka has none, ringmain " + cut(y)); else if (y == null) out.add(p + "/" + k + ": kafka " + cut(x) + ", ringmain has none"); else walk(p + "/" + k, x, y, out); }
        } else if (a.isArray() && b.isArray()) {
            Map<String, JsonNode> ka = keyed(a), kb = keyed(b);
            if (ka != null && kb != null) {
                Set<String> ks = new LinkedHashSet<>(ka.keySet()); ks.addAll(kb.keySet());
                for (String k : ks) { JsonNode x = ka.get(k), y = kb.get(k); if (x == null) out.add(p + "[" + k + "]: only ringmain " + cut(y)); else if (y == null) out.add(p + "[" + k + "]: only kafka " + cut(x)); else walk(p + "[" + k + "]", x, y, out); }
            } else if (a.size() == b.size() && a.size() > 0 && !a.get(0).isValueNode()) for (int i = 0; i < a.size(); i++) walk(p + "[" + i + "]", a.get(i), b.get(i), out);
            else if (a.size() > 0 && !a.get(0).isValueNode() || b.size() > 0 && !b.get(0).isValueNode()) {
                List<JsonNode> x = new ArrayList<>(), y = new ArrayList<>(); a.forEach(x::add); b.forEach(n -> { if (!x.remove(n)) y.add(n); });
                out.add(p + ": kafka " + a.size() + " elements, ringmain " + b.size()); for (JsonNode n : x) out.add(p + "[]: only kafka " + cut(n)); for (JsonNode n : y) out.add(p + "[]: only ringmain " + cut(n));
            } else out.add(p + ": kafka " + cut(a) + ", ringmain " + cut(b));
        } else out.add(p + ": kafka " + cut(a) + ", ringmain " + cut(b));
    }
    static String err(String f, String t) { return t; }
    static String cut(JsonNode n) { String s = n.toString(); return s.length() > 400 ? s.substring(0, 400) + "…" : s; }
}
