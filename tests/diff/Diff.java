import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/**
 * Sends the requests of scenario files to Apache Kafka and to Ringmain and prints where the masked answers differ.
 * scripts/diff starts both and runs it.
 *
 * <p>usage: Diff KAFKA-PORT RINGMAIN-PORT LOG-FOLDER TABLE SCENARIO-FILE...
 * System properties: only (a regular expression of FILE/NAME), edges (foreach takes the lowest and the highest version), max
 * (differences shown of a request), texts, whole (names lines of the table that match nothing). The table has one regular expression a line, found in "FILE/NAME API vN PATH: DIFFERENCE"; what
 * matches is counted as known and not shown.
 *
 * <h2>Scenarios</h2>
 * {@code == NAME [foreach API [VERSIONS]]} begins one; with foreach it is run once per version of that API, {@code $v}. Then a line each:
 * <pre>
 * @CONN API VERSIONS [OPTION…] {json} -> var=/path/to/0/field other=/topics/[name=${P}-a]/topicId
 * @CONN& API …          sends and goes on; `wait @CONN -> captures` takes the answers
 * sleep MS | set NAME=TEXT | close @CONN
 * </pre>
 * VERSIONS: {@code 3}, {@code 3-7}, {@code 3-}, {@code *} (each in turn; {@code $V} in the JSON), {@code $v}. The JSON is Kafka's (its
 * *DataJsonConverter), relaxed; fields that are not given have their defaults, and fields that a version has not are dropped.
 * Variables: {@code $P} (a prefix of this run's own), {@code ${T+5}} (an hour ago + 5 ms, the same on both), {@code ${NOW+5}},
 * {@code ${X250}} (a name of 250 letters), captures.
 * Bytes: {@code {$b:"text"}}, {@code {$hex:"00"}}, {@code {$gz:n}} (n zeros, packed), {@code {$sub:["topic"], own:[["topic",0]]}}, {@code {$assign:[["topic",0]]}}, and records
 * {@code {$r:[{codec,base,pid,epoch,seq,txn,append,magic,ple,flip,cut,recs:[[key,value,timestamp,[[header,value]]]]}]}} with values
 * {@code {$z:n}} (n letters) and {@code {$x:n}} (n random bytes). {@code {$r:[{forge:{…}}]}} is a batch whose length and checksum are right
 * and whose inside is made by hand: codec, deltas (offsets of the records in it), times_ms (their times), extra (bytes left over in
 * each), plain (text instead of records), times (how often it is compressed), cut (bytes that miss at its end); and of the header:
 * count, last (offset), attributes, maxTimestamp.
 * Options: {@code ready} (asks again while topics or leaders are unknown), {@code noretry} (not even for a coordinator that loads),
 * {@code sent=V} (the header's version), {@code as=V} (the answer's), {@code client=ID}, {@code noclient}, {@code timeout=MS},
 * {@code silent} (no answer is expected).
 *
 * <p>Masked: hosts, ports, cluster ids, throttle times, sizes, directories, error texts, session, producer and subscription ids, uuids
 * (numbered as they appear; a topic's by its name), times near now, the order of arrays other than replicas, isr and records ("but for
 * the order" counts those); member epochs of Kafka's consumer groups less 1, for Kafka begins with 2.
 *
 * <p>Every run uses names of its own and deletes its topics.
 */
public class Diff {
    static final JsonMapper M = JsonMapper.builder()
        .enable(JsonReadFeature.ALLOW_UNQUOTED_FIELD_NAMES, JsonReadFeature.ALLOW_SINGLE_QUOTES, JsonReadFeature.ALLOW_TRAILING_COMMA,
                JsonReadFeature.ALLOW_JAVA_COMMENTS).build();
    /** Record timestamps in scenarios are relative to this: an hour ago, a whole minute. */
    static final long T = (System.currentTimeMillis() / 60000 - 60) * 60000;
    static final String MSG = "org.apache.kafka.common.message.";
    static boolean texts = false;

    // ---------------------------------------------------------------- scenarios
    static class Step { int line; String kind, conn = "A", api, versions, body, wait; Map<String, String> opts = new HashMap<>(); Map<String, String> caps = new LinkedHashMap<>(); boolean async; }
    static class Scenario { String name; String eachApi, eachVersions; List<Step> steps = new ArrayList<>(); }

    static int depth(String s) {
        int d = 0; char q = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (q != 0) { if (c == '\\') i++; else if (c == q) q = 0; }
            else if (c == '"' || c == '\'') q = c;
            else if (c == '{' || c == '[') d++;
            else if (c == '}' || c == ']') d--;
        }
        return d;
    }

    static int close(String s) {
        int d = 0; char q = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (q != 0) { if (c == '\\') i++; else if (c == q) q = 0; }
            else if (c == '"' || c == '\'') q = c;
            else if (c == '{' || c == '[') d++;
            else if (c == '}' || c == ']') { if (--d == 0) return i; }
        }
        return s.length() - 1;
    }

    static List<Scenario> parse(Path p) throws IOException {
        List<Scenario> all = new ArrayList<>();
        Scenario sc = null;
        List<String> lines = Files.readAllLines(p);
        String base = p.getFileName().toString().replaceAll("\\.txt$", "");
        for (int i = 0; i < lines.size(); i++) {
            String l = lines.get(i).strip(); int at = i + 1;
            if (l.isEmpty() || l.startsWith("#")) continue;
            if (l.startsWith("==")) { // == name [foreach Api [versions]]
                String[] w = l.substring(2).strip().split("\\s+");
                sc = new Scenario(); sc.name = base + "/" + w[0];
                if (w.length > 2 && w[1].equals("foreach")) { sc.eachApi = w[2]; sc.eachVersions = w.length > 3 ? w[3] : "*"; }
                all.add(sc); continue;
            }
            if (sc == null) { sc = new Scenario(); sc.name = base; all.add(sc); }
            Step s = new Step(); s.line = at;
            if (l.startsWith("sleep ")) { s.kind = "sleep"; s.body = l.substring(6).strip(); sc.steps.add(s); continue; }
            if (l.startsWith("set ")) { s.kind = "set"; s.body = l.substring(4).strip(); sc.steps.add(s); continue; }
            if (l.startsWith("close ")) { s.kind = "close"; s.conn = l.substring(6).strip().substring(1); sc.steps.add(s); continue; }
            if (l.startsWith("wait ")) {
                s.kind = "wait"; String r = l.substring(5); int a = r.indexOf("->");
                if (a >= 0) { caps(s, r.substring(a + 2)); r = r.substring(0, a); }
                s.conn = r.strip().substring(1); sc.steps.add(s); continue;
            }
            if (l.startsWith("->")) { caps(sc.steps.get(sc.steps.size() - 1), l.substring(2)); continue; }
            while (depth(l) > 0) { i++; l += "\n" + lines.get(i).strip(); }
            s.kind = "req";
            int b = l.indexOf('{'); String head = b < 0 ? l : l.substring(0, b), rest = b < 0 ? "{}" : l.substring(b);
            if (b < 0) { int a = head.indexOf("->"); if (a >= 0) { caps(s, head.substring(a + 2)); head = head.substring(0, a); } }
            else { int e = close(rest); String tail = rest.substring(e + 1).strip(); rest = rest.substring(0, e + 1); if (tail.startsWith("->")) caps(s, tail.substring(2)); }
            s.body = rest;
            List<String> w = new ArrayList<>(List.of(head.strip().split("\\s+")));
            if (w.get(0).startsWith("@")) { s.conn = w.remove(0).substring(1); if (s.conn.endsWith("&")) { s.async = true; s.conn = s.conn.substring(0, s.conn.length() - 1); } }
            s.api = w.remove(0); s.versions = w.isEmpty() ? "*" : w.remove(0);
            for (String o : w) { int e = o.indexOf('='); s.opts.put(e < 0 ? o : o.substring(0, e), e < 0 ? "" : o.substring(e + 1)); }
            sc.steps.add(s);
        }
        return all;
    }
    static void caps(Step s, String t) { for (String c : t.strip().split("\\s+")) { int e = c.indexOf('='); s.caps.put(c.substring(0, e), c.substring(e + 1)); } }

    static ApiKeys api(String name) {
        for (ApiKeys k : ApiKeys.values()) if (k.messageType.name.equals(name)) return k;
        throw new IllegalArgumentException("no API " + name);
    }
    static List<Integer> versions(String api, String spec) {
        ApiKeys k = api(api); int lo = k.messageType.lowestSupportedVersion(), hi = k.messageType.highestSupportedVersion(false);
        if (!spec.equals("*")) {
            String[] p = spec.split("-");
            int a = Integer.parseInt(p[0]), b = spec.endsWith("-") ? hi : p.length > 1 ? Integer.parseInt(p[1]) : a;
            lo = Math.max(a, lo); hi = Math.min(b, hi);
        }
        List<Integer> r = new ArrayList<>(); for (int v = lo; v <= hi; v++) r.add(v); return r;
    }

    // ---------------------------------------------------------------- JSON to messages
    static Object conv(Class<?> c, String m, Object... a) throws Exception {
        for (Method x : c.getMethods()) if (x.getName().equals(m) && x.getParameterCount() == a.length && Modifier.isStatic(x.getModifiers())) {
            try { return x.invoke(null, a); } catch (InvocationTargetException e) { throw (Exception) e.getCause(); }
        }
        throw new IllegalStateException(c + "." + m);
    }
    static Class<?> element(Type t) {
        if (t instanceof ParameterizedType p) return element(p.getActualTypeArguments()[0]);
        if (t instanceof Class<?> c) {
            if (Message.class.isAssignableFrom(c)) return c;
            if (ImplicitCol.is(c)) return element(c.getGenericSuperclass());
        }
        return null;
    }
    static class ImplicitCol { static boolean is(Class<?> c) { return org.apache.kafka.common.utils.internals.ImplicitLinkedHashCollection.class.isAssignableFrom(c); } }
    static void fill(JsonNode n, Class<?> c, Class<?> outerConv, Class<?> converter, short v) throws Exception {
        if (!(n instanceof ObjectNode o)) return;
        JsonNode d;
        try { d = (JsonNode) conv(converter, "write", c.getDeclaredConstructor().newInstance(), v, true); }
        catch (org.apache.kafka.common.errors.UnsupportedVersionException e) { return; }
        for (Iterator<Map.Entry<String, JsonNode>> it = d.fields(); it.hasNext(); ) { var e = it.next(); if (!o.has(e.getKey())) o.set(e.getKey(), e.getValue()); }
        Set<String> in = new HashSet<>(); // what this version has
        org.apache.kafka.common.protocol.types.Schema sch = ((org.apache.kafka.common.protocol.types.Schema[]) c.getField("SCHEMAS").get(null))[v];
        for (var bf : sch.fields()) { in.add(camel(bf.def.name)); if (bf.def.type instanceof org.apache.kafka.common.protocol.types.TaggedFields tf) tf.fields().values().forEach(x -> in.add(camel(x.name))); }
        for (String k : names(o)) { try { c.getDeclaredField(k); } catch (NoSuchFieldException x) { throw new IllegalArgumentException("no field " + k + " in " + c.getSimpleName()); } if (!in.contains(k)) o.remove(k); }
        for (Iterator<Map.Entry<String, JsonNode>> it = o.fields(); it.hasNext(); ) {
            var e = it.next(); Field f;
            try { f = c.getDeclaredField(e.getKey()); } catch (NoSuchFieldException x) { throw new IllegalArgumentException("no field " + e.getKey() + " in " + c.getSimpleName()); }
            Class<?> el = element(f.getGenericType()); if (el == null) continue;
            Class<?> ec; try { ec = Class.forName(outerConv.getName() + "$" + el.getSimpleName() + "JsonConverter"); } catch (ClassNotFoundException x) { continue; }
            if (e.getValue().isArray()) for (JsonNode x : e.getValue()) fill(x, el, outerConv, ec, v); else fill(e.getValue(), el, outerConv, ec, v);
        }
    }
    static String camel(String s) { StringBuilder b = new StringBuilder(); boolean up = false; for (char ch : s.toCharArray()) { if (ch == '_') up = true; else { b.append(up ? Character.toUpperCase(ch) : ch); up = false; } } return b.toString(); }
    static String str(JsonNode n) { return n == null || n.isNull() ? null : n.asText(); }
    static byte[] bytes(JsonNode n) {
        if (n == null || n.isNull()) return null;
        if (n.isObject() && n.has("$x")) { byte[] b = new byte[n.get("$x").asInt()]; new Random(7).nextBytes(b); return b; }
        if (n.isObject() && n.has("$z")) { byte[] b = new byte[n.get("$z").asInt()]; Arrays.fill(b, (byte) 'z'); return b; }
        return n.asText().getBytes();
    }
    static byte[] cat(List<byte[]> l) throws IOException { var o = new ByteArrayOutputStream(); for (byte[] b : l) o.write(b); return o.toByteArray(); }
    static byte[] arr(ByteBuffer b) { b = b.duplicate(); byte[] r = new byte[b.remaining()]; b.get(r); return r; }

    /** A batch whose header and checksum are right and what follows is as asked for: see the head. */
    static byte[] forge(JsonNode f) throws IOException {
        CompressionType codec = CompressionType.forName(f.path("codec").asText("none"));
        byte[] inside;
        if (f.has("plain")) inside = f.get("plain").asText().getBytes();
        else {
            List<byte[]> all = new ArrayList<>(); int i = 0;
            long first = f.has("times_ms") ? f.get("times_ms").get(0).asLong() : T;
            for (JsonNode delta : f.get("deltas")) {
                long at = f.has("times_ms") ? f.get("times_ms").get(i++).asLong() : T;
                ByteBuffer one = ByteBuffer.allocate(200); one.put((byte) 0);
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarlong(at - first, one); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(delta.asInt(), one);
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(-1, one); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(1, one); one.put((byte) 'v');
                org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(0, one); one.put(f.path("extra").asText("").getBytes()); one.flip();
                ByteBuffer sized = ByteBuffer.allocate(210); org.apache.kafka.common.utils.internals.ByteUtils.writeVarint(one.remaining(), sized); sized.put(one); sized.flip(); all.add(arr(sized));
            }
            inside = cat(all);
            for (int n = codec == CompressionType.NONE ? 0 : f.path("times").asInt(1); n > 0; n--) {
                var out = new org.apache.kafka.common.utils.internals.ByteBufferOutputStream(1024);
                try (OutputStream o = Compression.of(codec).build().wrapForOutput(out, (byte) 2)) { o.write(inside); }
                ByteBuffer b = out.buffer(); b.flip(); inside = arr(b);
            }
            inside = Arrays.copyOf(inside, inside.length - f.path("cut").asInt(0));
        }
        int count = f.path("count").asInt(f.has("deltas") ? f.get("deltas").size() : 2);
        ByteBuffer b = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD + inside.length);
        b.putLong(0).putInt(b.capacity() - 12).putInt(-1).put((byte) 2).putInt(0);
        b.putShort((short) f.path("attributes").asInt(0)).putInt(f.path("last").asInt(count - 1));
        b.putLong(f.has("times_ms") ? f.get("times_ms").get(0).asLong() : T).putLong(f.path("maxTimestamp").asLong(T));
        b.putLong(-1).putShort((short) -1).putInt(-1).putInt(count).put(inside).flip();
        b.putShort(21, (short) (b.getShort(21) | codec.id));
        b.putInt(17, (int) org.apache.kafka.common.utils.internals.Crc32C.compute(b, 21, b.capacity() - 21));
        return arr(b);
    }

    static byte[] batch(JsonNode b) throws IOException {
        if (b.has("forge")) return forge(b.get("forge"));
        byte magic = (byte) (b.has("magic") ? b.get("magic").asInt() : 2);
        CompressionType ct = CompressionType.forName(b.has("codec") ? b.get("codec").asText() : "none");
        Compression c = Compression.of(ct).build();
        long pid = b.has("pid") ? b.get("pid").asLong() : -1; short ep = (short) (b.has("epoch") ? b.get("epoch").asInt() : -1); int seq = b.has("seq") ? b.get("seq").asInt() : -1;
        boolean txn = b.has("txn"), ctl = b.has("control");
        TimestampType tt = b.has("append") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        ByteBuffer buf = ByteBuffer.allocate(4 << 20);
        long base = b.has("base") ? b.get("base").asLong() : 0;
        JsonNode recs = b.get("recs");
        if (recs == null || recs.isEmpty()) {
            ByteBuffer e = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
            DefaultRecordBatch.writeEmptyHeader(e, magic, pid, ep, seq, base, base, -1, tt, -1, txn, ctl);
            e.flip(); return arr(e);
        }
        try (MemoryRecordsBuilder m = new MemoryRecordsBuilder(buf, magic, c, tt, base, b.has("append") ? b.get("append").asLong() : -1, pid, ep, seq, txn, ctl, b.has("ple") ? b.get("ple").asInt() : -1, buf.capacity())) {
            for (JsonNode r : recs) {
                long ts = r.has(2) ? r.get(2).asLong() : T;
                List<Header> hs = new ArrayList<>();
                if (r.has(3)) for (JsonNode h : r.get(3)) hs.add(new RecordHeader(h.get(0).asText(), bytes(h.get(1))));
                if (magic < 2) m.append(ts, bytes(r.get(0)), bytes(r.get(1)));
                else m.append(ts, bytes(r.get(0)), bytes(r.get(1)), hs.toArray(new Header[0]));
            }
            byte[] out = arr(m.build().buffer());
            if (b.has("flip")) out[b.get("flip").asInt()] ^= 1;
            if (b.has("cut")) out = Arrays.copyOf(out, out.length - b.get("cut").asInt());
            return out;
        }
    }
    static JsonNode expand(JsonNode n) throws Exception {
        if (n.isObject()) {
            ObjectNode o = (ObjectNode) n;
            if (o.has("$r")) { List<byte[]> l = new ArrayList<>(); for (JsonNode b : o.get("$r")) l.add(batch(b)); return new BinaryNode(cat(l)); }
            if (o.has("$b")) return new BinaryNode(o.get("$b").asText().getBytes());
            if (o.has("$x")) return new BinaryNode(bytes(o));
            if (o.has("$gz")) {
                var packed = new ByteArrayOutputStream();
                try (OutputStream z = new java.util.zip.GZIPOutputStream(packed)) { z.write(new byte[o.get("$gz").asInt()]); }
                return new BinaryNode(packed.toByteArray());
            }
            if (o.has("$hex")) return new BinaryNode(HexFormat.of().parseHex(o.get("$hex").asText()));
            if (o.has("$sub")) {
                List<String> t = new ArrayList<>(); o.get("$sub").forEach(x -> t.add(x.asText()));
                List<TopicPartition> own = new ArrayList<>(); if (o.has("own")) o.get("own").forEach(x -> own.add(new TopicPartition(x.get(0).asText(), x.get(1).asInt())));
                return new BinaryNode(arr(ConsumerProtocol.serializeSubscription(new ConsumerPartitionAssignor.Subscription(t, null, own))));
            }
            if (o.has("$assign")) {
                List<TopicPartition> own = new ArrayList<>(); o.get("$assign").forEach(x -> own.add(new TopicPartition(x.get(0).asText(), x.get(1).asInt())));
                return new BinaryNode(arr(ConsumerProtocol.serializeAssignment(new ConsumerPartitionAssignor.Assignment(own))));
            }
            for (String k : names(o)) o.set(k, expand(o.get(k)));
        } else if (n.isArray()) { ArrayNode a = (ArrayNode) n; for (int i = 0; i < a.size(); i++) a.set(i, expand(a.get(i))); }
        return n;
    }
    static List<String> names(JsonNode o) { List<String> l = new ArrayList<>(); o.fieldNames().forEachRemaining(l::add); return l; }

    // ---------------------------------------------------------------- one side of a run
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

    // ---------------------------------------------------------------- normalise
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

    // ---------------------------------------------------------------- main
    public static void main(String[] args) throws Exception {
        int kp = Integer.parseInt(args[0]), rp = Integer.parseInt(args[1]);
        Path out = Path.of(args[2]), table = Path.of(args[3]);
        texts = Boolean.getBoolean("texts");
        String only = System.getProperty("only");
        List<Pattern> known = new ArrayList<>();
        for (String l : Files.readAllLines(table)) if (!l.isBlank() && !l.startsWith("#")) known.add(Pattern.compile(l.strip()));
        int[] knownHits = new int[known.size()];
        List<Path> files = new ArrayList<>();
        for (int i = 4; i < args.length; i++) files.add(Path.of(args[i]));
        Files.createDirectories(out);
        int compared = 0, equal = 0, knownOnly = 0, orderOnly = 0; Set<String> apiVersions = new TreeSet<>(), orders = new TreeSet<>(); int runNo = 0;
        Map<String, int[]> perApi = new TreeMap<>();
        long seed = System.currentTimeMillis() / 100 % 10_000_000;
        for (Path f : files) for (Scenario sc : parse(f)) {
            if (only != null && !sc.name.matches(only)) continue;
            PrintWriter log = new PrintWriter(out.resolve(sc.name.replace('/', '.') + ".log").toFile());
            Map<String, List<String>> diffs = new LinkedHashMap<>(); long t0 = System.currentTimeMillis();
            List<Integer> vs = sc.eachApi == null ? Collections.singletonList(null) : versions(sc.eachApi, sc.eachVersions);
            if (Boolean.getBoolean("edges") && vs.size() > 2) vs = List.of(vs.get(0), vs.get(vs.size() - 1));
            for (Integer v : vs) {
                String prefix = String.format("x%07d%03d", seed, runNo++ % 1000);
                Side k = new Side(), r = new Side(); k.name = "kafka"; r.name = "ringmain"; k.host = r.host = "127.0.0.1"; k.port = kp; r.port = rp; k.prefix = r.prefix = prefix;
                Thread a = new Thread(() -> k.run(sc, v)), b = new Thread(() -> r.run(sc, v)); a.start(); b.start(); a.join(); b.join();
                int n = Math.min(k.answers.size(), r.answers.size());
                if (k.answers.size() != r.answers.size()) { System.out.println("!! " + sc.name + " v=" + v + ": " + k.answers.size() + " and " + r.answers.size() + " answers"); }
                for (int i = 0; i < n; i++) {
                    Answer x = k.answers.get(i), y = r.answers.get(i); k.api = r.api = x.api;
                    JsonNode xs = mask(sort(x.raw, "", k), "", k, true), ys = mask(sort(y.raw, "", r), "", r, true);
                    log.println(sc.name + ":" + x.line + " " + x.api + " v" + x.v + "\n  K " + mask(x.raw, "", k, true) + "\n  R " + mask(y.raw, "", r, true));
                    List<String> d = new ArrayList<>(); walk("", xs, ys, d);
                    compared++; apiVersions.add(x.api + " v" + x.v); int[] pa = perApi.computeIfAbsent(x.api, q -> new int[3]); pa[0]++;
                    boolean all = true;
                    for (String s : d) {
                        String full = x.api + " v" + x.v + " " + s; boolean kn = false;
                        for (int q = 0; q < known.size(); q++) if (known.get(q).matcher(sc.name + " " + full).find()) { kn = true; knownHits[q]++; break; }
                        if (kn) continue;
                        all = false;
                        diffs.computeIfAbsent(x.line + " " + x.api + "\u0000" + s, q -> new ArrayList<>()).add(x.v + (sc.eachApi != null && !sc.eachApi.equals(x.api) ? "(" + sc.eachApi + " " + v + ")" : ""));
                    }
                    if (d.isEmpty()) { equal++; if (!mask(x.raw, "", k, false).equals(mask(y.raw, "", r, false))) { orderOnly++; orders.add(x.api); } } else if (all) { knownOnly++; pa[1]++; } else pa[2]++;
                }
            }
            log.close();
            System.out.println("-- " + sc.name + " (" + (System.currentTimeMillis() - t0) + " ms)");
            Map<String, List<String>> byHead = new LinkedHashMap<>();
            for (var e : diffs.entrySet()) { String[] p = e.getKey().split("\u0000", 2); byHead.computeIfAbsent(sc.name + ":" + p[0] + " v" + span(e.getValue()), q -> new ArrayList<>()).add(p[1]); }
            for (var e : byHead.entrySet()) { System.out.println(e.getKey()); int i = 0; for (String s : e.getValue()) { if (i++ >= Integer.getInteger("max", 12)) { System.out.println("     … " + (e.getValue().size() - 12) + " more"); break; } System.out.println("     " + s); } }
            System.out.flush();
        }
        System.out.println("== compared " + compared + " requests, " + apiVersions.size() + " API versions: equal " + equal + " (" + orderOnly + " but for the order of arrays: " + orders + "), only known differences " + knownOnly + ", different " + (compared - equal - knownOnly));
        for (var e : perApi.entrySet()) System.out.println("   " + e.getKey() + ": " + e.getValue()[0] + " compared, " + e.getValue()[1] + " known, " + e.getValue()[2] + " different");
        for (int q = 0; q < known.size(); q++) if (Boolean.getBoolean("whole") && knownHits[q] == 0) System.out.println("   known.txt matches nothing: " + known.get(q));
        System.exit(compared - equal - knownOnly > 0 ? 1 : 0);
    }
    static String span(List<String> v) {
        try {
            TreeSet<Integer> s = new TreeSet<>(); for (String x : v) s.add(Integer.parseInt(x));
            int lo = s.first(), hi = s.last(); return s.size() == 1 ? "" + lo : s.size() == hi - lo + 1 ? lo + "-" + hi : s.toString().replace(" ", "");
        } catch (NumberFormatException e) { TreeSet<String> s = new TreeSet<>(v); return s.toString().replace(" ", ""); }
    }
}
