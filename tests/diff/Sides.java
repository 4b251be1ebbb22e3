package diff;

import static diff.Messages.*;
import static diff.Scenarios.*;

import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/** One run of a scenario against one of the two brokers, and what it was answered. */
final class Sides {
    static class Sent { ApiKeys key; short rv; int line; int v; int corr; Step step; }
    static class Answer { int line; String api; int v; JsonNode raw, norm; String label; }
    static class Side {
        String name; String host; int port; String prefix; Map<String, String> vars = new HashMap<>();
        Map<String, Socket> socks = new HashMap<>(); Map<String, Deque<Sent>> pending = new HashMap<>(); List<Answer> answers = new ArrayList<>();
        int corr = 1; String api = ""; Map<String, String> ids = new HashMap<>(); Set<String> timed = new HashSet<>();

        Socket sock(String c) throws IOException {
            Socket s = socks.get(c);
            if (s == null || s.isClosed()) { s = new Socket(); s.setTcpNoDelay(true); s.connect(new InetSocketAddress(host, port), 5000); socks.put(c, s); pending.put(c, new ArrayDeque<>()); }
            return s;
        }
        String subst(String t) {
            Matcher m = Pattern.compile("\\$\\{T([+-]\\d+)?\\}|\\$\\{NOW([+-]\\d+)?\\}|\\$\\{(\\w+)\\}|\\$([a-zA-Z]\\w*)").matcher(t); StringBuilder b = new StringBuilder();
            while (m.find()) {
                String g = m.group(), r;
                if (g.startsWith("${T") && (g.equals("${T}") || m.group(1) != null)) r = "" + (T + (m.group(1) == null ? 0 : Long.parseLong(m.group(1))));
                else if (g.startsWith("${NOW")) r = "" + (System.currentTimeMillis() + (m.group(2) == null ? 0 : Long.parseLong(m.group(2))));
                else {
                    String k = m.group(3) != null ? m.group(3) : m.group(4);
                    r = k.equals("P") ? prefix : k.matches("X\\d+") ? prefix + "n".repeat(Integer.parseInt(k.substring(1)) - prefix.length()) : vars.get(k);
                    if (r == null && m.group(4) != null) { // longest known variable that the name begins with
                        for (int i = k.length() - 1; i > 0 && r == null; i--) { String s = k.substring(0, i); String x = s.equals("P") ? prefix : vars.get(s); if (x != null) r = x + k.substring(i); }
                    }
                    if (r == null) r = g;
                }
                m.appendReplacement(b, Matcher.quoteReplacement(r));
            }
            m.appendTail(b); return b.toString();
        }
        void run(Scenario sc, Integer v) {
            if (v != null) vars.put("v", "" + v);
            try {
                for (Step s : sc.steps) {
                    switch (s.kind) {
                        case "sleep" -> Thread.sleep(Long.parseLong(s.body));
                        case "set" -> { int e = s.body.indexOf('='); vars.put(s.body.substring(0, e), subst(s.body.substring(e + 1))); }
                        case "close" -> { Socket k = socks.remove(s.conn); if (k != null) k.close(); Thread.sleep(50); }
                        case "wait" -> { receiveAll(s.conn); for (var c : s.caps.entrySet()) cap(s, c); }
                        default -> request(s);
                    }
                }
                for (String c : new ArrayList<>(pending.keySet())) receiveAll(c);
            } catch (ConnectException e) { System.out.println("!! " + name + " does not answer on port " + port); System.exit(2); }
            catch (Exception e) { System.out.println("!! " + name + " " + sc.name + ": " + e); }
            try { // leaves no topics behind
                int n = answers.size(); Step m = new Step(); m.conn = "cleanup"; m.api = "Metadata"; send(m, 9, "{topics:null, allowAutoTopicCreation:false}"); Answer a = receive(m.conn); ArrayNode gone = M.createArrayNode();
                for (JsonNode t : a.raw.path("topics")) if (t.path("name").asText().startsWith(prefix)) gone.addObject().put("name", t.get("name").asText());
                if (!gone.isEmpty()) { Step d = new Step(); d.conn = "cleanup"; d.api = "DeleteTopics"; send(d, 6, "{timeoutMs:5000, topics:" + gone + "}"); receive(d.conn); }
                while (answers.size() > n) answers.remove(answers.size() - 1);
            } catch (Exception e) { System.out.println("!! " + name + " cleanup: " + e); }
            for (Socket s : socks.values()) try { s.close(); } catch (IOException e) { }
        }
        void cap(Step s, Map.Entry<String, String> c) {
            JsonNode a = answers.get(answers.size() - 1).raw; JsonNode n = at(a, subst(c.getValue()));
            vars.put(c.getKey(), n == null || n.isMissingNode() ? "MISSING" : n.asText());
        }
        void request(Step s) throws Exception {
            String spec = subst(s.versions);
            boolean admin = Set.of("CreateTopics", "DeleteTopics", "CreatePartitions", "AlterConfigs", "IncrementalAlterConfigs", "DeleteRecords").contains(s.api);
            for (int v : versions(s.api, spec)) {
                String body = subst(s.body).replace("$V", "" + v);
                for (int i = 0; ; i++) {
                    send(s, v, body);
                    if (s.async) break;
                    Answer a = receive(s.conn);
                    if (i < 30 && a != null && !s.opts.containsKey("noretry") && a.raw.toString().matches("(?s).*\"errorCode\":(14|15|16)\\b.*")) { answers.remove(answers.size() - 1); Thread.sleep(100); continue; }
                    // what a new topic answers until its leader is known
                    if (i < 30 && s.opts.containsKey("ready") && a.raw.toString().matches("(?s).*\"errorCode\":(3|5|6|100)\\b.*")) { answers.remove(answers.size() - 1); Thread.sleep(100); continue; }
                    break;
                }
                if (admin) Thread.sleep(Integer.getInteger("settle", 80));
                if (!s.async) for (var c : s.caps.entrySet()) cap(s, c);
            }
        }
        void send(Step s, int v, String body) throws Exception {
            ApiKeys k = api(s.api);
            JsonNode n; 
            try { n = expand(M.readTree(body)); } catch (JsonProcessingException e) { throw new IllegalArgumentException("line " + s.line + ": " + e.getMessage() + "\n" + body); }
            ApiMessage msg; 
            try {
                Class<?> mc = Class.forName(MSG + k.messageType.name + "RequestData"), cc = Class.forName(MSG + k.messageType.name + "RequestDataJsonConverter");
                fill(n, mc, cc, cc, (short) v);
                msg = (ApiMessage) conv(cc, "read", n, (short) v);
            } catch (Exception e) { throw new IllegalArgumentException("line " + s.line + " v" + v + ": " + e, e); }
            short sentV = (short) Integer.parseInt(s.opts.getOrDefault("sent", "" + v));
            short hv = s.opts.containsKey("sent") ? k.requestHeaderVersion((short) v) : k.requestHeaderVersion((short) v);
            RequestHeaderData h = new RequestHeaderData().setRequestApiKey(k.id).setRequestApiVersion(sentV).setCorrelationId(corr).setClientId(s.opts.containsKey("noclient") ? null : subst(s.opts.getOrDefault("client", "diff")));
            ObjectSerializationCache hc = new ObjectSerializationCache(), bc = new ObjectSerializationCache();
            int size = h.size(hc, hv) + msg.size(bc, (short) v);
            ByteBuffer b = ByteBuffer.allocate(4 + size); b.putInt(size);
            ByteBufferAccessor acc = new ByteBufferAccessor(b); h.write(acc, hc, hv); msg.write(acc, bc, (short) v); b.flip();
            Socket so = sock(s.conn);
            try { so.getOutputStream().write(arr(b)); so.getOutputStream().flush(); } catch (IOException e) { so.close(); }
            Sent x = new Sent(); x.key = k; x.rv = (short) Integer.parseInt(s.opts.getOrDefault("as", "" + v)); x.line = s.line; x.v = v; x.corr = corr++; x.step = s;
            pending.get(s.conn).add(x);
        }
        void receiveAll(String c) { Deque<Sent> q = pending.get(c); if (q == null) return; while (!q.isEmpty()) receive(c); }
        Answer receive(String c) {
            Sent x = pending.get(c).poll(); Socket so = socks.get(c); JsonNode r;
            try {
                if (x.step.opts.containsKey("silent")) { r = TextNode.valueOf("<none>"); }
                else {
                    so.setSoTimeout(Integer.parseInt(x.step.opts.getOrDefault("timeout", "8000")));
                    DataInputStream in = new DataInputStream(so.getInputStream()); int n = in.readInt(); byte[] b = new byte[n]; in.readFully(b);
                    r = decode(x, ByteBuffer.wrap(b));
                }
            } catch (SocketTimeoutException e) { r = TextNode.valueOf("<no answer>"); close(c); }
            catch (IOException e) { r = TextNode.valueOf("<closed>"); close(c); }
            catch (Exception e) { r = TextNode.valueOf("<undecodable " + e + ">"); }
            if (r instanceof ObjectNode o && o.get("groups") instanceof ArrayNode g && x.key == ApiKeys.LIST_GROUPS) // others' groups are left out
                for (Iterator<JsonNode> it = g.iterator(); it.hasNext(); ) if (!it.next().path("groupId").asText().startsWith(prefix)) it.remove();
            if (r instanceof ObjectNode && Set.of("METADATA", "DESCRIBE_LOG_DIRS", "DESCRIBE_TOPIC_PARTITIONS").contains(x.key.name())) foreign(r);
            if (r instanceof ObjectNode o && o.get("configResources") instanceof ArrayNode g)
                for (Iterator<JsonNode> it = g.iterator(); it.hasNext(); ) { String rn = it.next().path("resourceName").asText(); if (rn.startsWith("x") && !rn.startsWith(prefix)) it.remove(); }
            Answer a = new Answer(); a.line = x.line; a.api = x.key.messageType.name; a.v = x.v; a.raw = r; answers.add(a); return a;
        }
        /** Takes out topics of other runs. */
        void foreign(JsonNode n) {
            for (JsonNode x : n) foreign(x);
            if (n.get("topics") instanceof ArrayNode g) for (Iterator<JsonNode> it = g.iterator(); it.hasNext(); ) { String t = it.next().path("name").asText(); if (t.matches("x\\d{10}.*") && !t.startsWith(prefix)) it.remove(); }
        }
        void close(String c) { Socket s = socks.remove(c); pending.get(c).clear(); try { if (s != null) s.close(); } catch (IOException e) { } }
        JsonNode decode(Sent x, ByteBuffer b) throws Exception {
            ByteBufferAccessor acc = new ByteBufferAccessor(b);
            ResponseHeaderData h = new ResponseHeaderData(acc, x.key.responseHeaderVersion(x.rv));
            if (h.correlationId() != x.corr) return TextNode.valueOf("<correlation " + h.correlationId() + " not " + x.corr + ">");
            ApiMessage m = x.key.messageType.newResponse(); m.read(acc, x.rv);
            ObjectNode o = (ObjectNode) conv(Class.forName(MSG + x.key.messageType.name + "ResponseDataJsonConverter"), "write", m, x.rv, false);
            if (m instanceof FetchResponseData f) {
                for (int i = 0; i < f.responses().size(); i++) for (int j = 0; j < f.responses().get(i).partitions().size(); j++) {
                    ObjectNode pn = (ObjectNode) o.get("responses").get(i).get("partitions").get(j); pn.remove("recordsSizeInBytes");
                    pn.set("records", records(f.responses().get(i).partitions().get(j).records()));
                }
            }
            if (b.remaining() > 0) o.put("<trailing bytes>", b.remaining());
            return o;
        }
        JsonNode records(BaseRecords br) {
            if (br == null) return NullNode.instance;
            ArrayNode a = M.createArrayNode();
            int left = br.sizeInBytes();
            try {
                for (MutableRecordBatch b : ((MemoryRecords) br).batches()) {
                    ObjectNode o = a.addObject(); left -= b.sizeInBytes();
                    o.put("baseOffset", b.baseOffset()).put("lastOffset", b.lastOffset()).put("magic", b.magic()).put("codec", b.compressionType().name).put("tt", b.timestampType().name)
                     .put("maxTimestamp", b.maxTimestamp()).put("producerId", b.producerId()).put("epoch", b.producerEpoch()).put("seq", b.baseSequence()).put("ple", b.partitionLeaderEpoch())
                     .put("txn", b.isTransactional()).put("control", b.isControlBatch()).put("valid", b.isValid()).put("count", b.countOrNull());
                    if (b.magic() == 2) o.put("baseTimestamp", ((DefaultRecordBatch) b).baseTimestamp());
                    ArrayNode rs = o.putArray("recs");
                    for (org.apache.kafka.common.record.internal.Record r : b) {
                        String v = r.hasValue() ? new String(arr(r.value())) : null; if (v != null && v.length() > 40) v = v.substring(0, 10) + "..#" + v.hashCode() + "/" + r.valueSize();
                        String s = r.offset() + ":" + (r.hasKey() ? new String(arr(r.key())) : null) + "=" + v + "@" + ts(r.timestamp());
                        for (Header h : r.headers()) s += " " + h.key() + ":" + (h.value() == null ? null : new String(h.value()));
                        rs.add(s);
                    }
                }
            } catch (Exception e) { a.add("<bad records " + e + ">"); }
            if (left > 0) a.add("<partial batch>");
            return a;
        }
    }
    static String ts(long n) {
        if (n < 1_000_000_000_000L || n > 4_000_000_000_000L) return "" + n;
        if (Math.abs(n - T) < 40 * 60000) return "T" + (n == T ? "" : n > T ? "+" + (n - T) : "" + (n - T));
        if (Math.abs(n - System.currentTimeMillis()) < 15 * 60000) return "<recent>";
        return "" + n;
    }
    static JsonNode at(JsonNode n, String path) {
        for (String p : path.split("/")) {
            if (p.isEmpty() || n == null) continue;
            if (p.startsWith("[")) {
                int e = p.indexOf('='); String k = p.substring(1, e), v = p.substring(e + 1, p.length() - 1); JsonNode f = null;
                for (JsonNode x : n) if (x.has(k) && x.get(k).asText().equals(v)) { f = x; break; }
                n = f;
            } else n = n.isArray() ? n.get(Integer.parseInt(p)) : n.get(p);
        }
        return n;
    }
}
